"""The base images on the engine: whichever way they came, others build on this interface."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import subprocess
import time
from typing import TYPE_CHECKING

import docker
import pytest

from haybale import config
from haybale.errors import BuildError, PrerequisiteError, ServiceError
from haybale.image_ref import ImageRef
from haybale.images.bases import packages
from haybale.images.bases.base_image import ensure_base_image
from haybale.index.loader import copy_loader
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Watch

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]

# Seconds that Solr gets to answer.
PATIENCE = 60


@pytest.fixture(scope="module")
def images(root: Path) -> config.ImageSettings:
    """Have both base images, however this machine gets them."""
    settings = config.load(root, os.environ).settings.images
    for kind, ref in (("python", settings.python), ("solr", settings.solr)):
        ensure_base_image(ImageRef.parse(ref), kind, os.environ, print)
    return settings


@pytest.fixture
def built() -> Iterator[list[str]]:
    """Give a list of image names to remove afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        sdk.remove_image(name)


def build(folder: Path, dockerfile: str, built: list[str], *arguments: str) -> str:
    name = f"haybale-test-{RUN}:{secrets.token_hex(4)}"
    built.append(name)
    (folder / "Dockerfile").write_text(dockerfile)
    command = ["docker", "buildx", "build", "--load", "--provenance=false", "--tag", name, *arguments]
    done = subprocess.run([*command, str(folder)], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return name


@contextlib.contextmanager
def running(image: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run an image with Solr until it is left: (container id, port on loopback)."""
    command = [
        "docker",
        "run",
        "--detach",
        "--label",
        f"io.haybale.test={RUN}",
        "--publish",
        "127.0.0.1::8983",
        # No Solr here runs for as long as its JVM's second compiler takes to pay off.
        "--env",
        "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1",
        *options,
        image,
    ]
    identity = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        end = time.monotonic() + PATIENCE
        while sdk.execute_in_container(identity, ["bash", "-c", packages.SOLR_HEALTH]) != 0:
            assert sdk.is_container_running(identity), sdk.container_log_tail(identity)
            assert time.monotonic() < end, sdk.container_log_tail(identity)
            time.sleep(0.1)
        yield identity, int(sdk.published_address(identity, 8983).rpartition(":")[2])
    finally:
        sdk.client().containers.get(identity).remove(force=True, v=True)


def inside(container: str, *command: str) -> str:
    done = subprocess.run(["docker", "exec", container, *command], check=True, capture_output=True, text=True)
    return done.stdout


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_ensure_base_image_finds_the_engine_s_image_and_prints_nothing(images: config.ImageSettings) -> None:
    said: list[str] = []
    found = ensure_base_image(ImageRef.parse(images.solr), "solr", {}, said.append)
    assert found.origin == "local"
    assert found.digest.startswith("sha256:")
    assert said == []


def test_ensure_base_image_explains_an_image_that_is_nowhere() -> None:
    with pytest.raises(BuildError, match="could not be pulled") as told:
        ensure_base_image(ImageRef.parse("127.0.0.1:9/nobody:1"), "solr", {}, lambda _: None)
    assert "connection refused" in told.value.cause
    assert "solr:9.10.1-slim" in told.value.cause


def test_python_image_works_as_python_s_own_does(images: config.ImageSettings) -> None:
    packages.check_python("3.13", images.python)
    with pytest.raises(BuildError, match="does not work"):
        packages.check_python("3.11", images.python)
    code, said = sdk.run_container(
        images.python, ["sh", "-c", "command -v python python3 pip apt-get && id -u"]
    )
    assert code == 0
    assert said.split()[-1] == "0"


def test_a_build_on_the_python_image_installs_into_an_environment(
    images: config.ImageSettings, built: list[str], tmp_path: Path
) -> None:
    """What the site's Dockerfile does: no network, the image is the engine's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n')
    dockerfile = (
        f"FROM {images.python}\n"
        "RUN --network=none python -m venv --without-pip /venv"
        " && python -m pip --python /venv/bin/python list --disable-pip-version-check"
        " && ! ls /usr/lib/python3*/EXTERNALLY-MANAGED 2>/dev/null\n"
        "RUN --mount=type=secret,id=ca,required=false test ! -s /run/secrets/ca\n"
    )
    name = build(tmp_path, dockerfile, built, "--secret", "id=ca,src=/dev/null")
    code, said = sdk.run_container(name, ["/venv/bin/python", "-c", "import sys; print(sys.prefix)"])
    assert (code, said) == (0, "/venv")


def test_solr_runs_as_its_user_and_stops_in_good_order(images: config.ImageSettings) -> None:
    options = ("--env", "SOLR_HEAP=256m", "--env", "SOLR_OPTS=-Dfirst=1 -Dsecond=2")
    with running(images.solr, *options) as (container, port):
        assert status(port, "/solr/admin/info/health") == 200
        assert inside(container, "id", "-u").strip() == "8983"
        command = inside(container, "cat", "/proc/1/cmdline").split("\0")
        assert {"-Xmx256m", "-Dfirst=1", "-Dsecond=2"} <= set(command)
        assert sdk.stop_container(container, 30) == packages.STOPPED_CLEANLY


def test_solr_s_home_can_stand_anywhere_and_nobody_reads_it(
    images: config.ImageSettings, built: list[str], tmp_path: Path
) -> None:
    (tmp_path / "solr.xml").write_text("<solr/>")
    dockerfile = (
        f"FROM {images.solr}\n"
        "ENV SOLR_HOME=/opt/mine\n"
        "COPY --chown=8983:8983 solr.xml /opt/mine/solr.xml\n"
    )  # fmt: skip
    with running(build(tmp_path, dockerfile, built)) as (container, port):
        assert "-Dsolr.solr.home=/opt/mine" in inside(container, "cat", "/proc/1/cmdline")
        assert status(port, "/solr/solr.xml") == 404
        assert status(port, "/solr/../solr.xml") in {400, 404}


def test_solr_keeps_things_in_a_volume_where_its_root_can_t_be_written(images: config.ImageSettings) -> None:
    options = ("--read-only", "--tmpfs", "/tmp", "--env", "SOLR_JAVA_MEM=-Xms200m -Xmx300m")
    with running(images.solr, *options) as (container, port):
        assert status(port, "/solr/admin/info/system") == 200
        inside(container, "touch", "/var/solr/data/x", "/var/solr/logs/x")
        assert {"-Xms200m", "-Xmx300m"} <= set(inside(container, "cat", "/proc/1/cmdline").split("\0"))


def test_solr_runs_where_nothing_but_tmp_can_be_written(
    images: config.ImageSettings, built: list[str], tmp_path: Path
) -> None:
    name = build(tmp_path, f"FROM {images.solr}\nENV SOLR_HOME=/opt/solr/server/solr\n", built)
    with running(name, "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/var/solr:uid=8983") as (_, port):
        assert status(port, "/solr/admin/info/health") == 200


def test_check_solr_shows_the_log_of_one_that_does_not_start(
    images: config.ImageSettings, built: list[str], tmp_path: Path
) -> None:
    name = build(tmp_path, f"FROM {images.solr}\nENV SOLR_HEAP=nonsense\n", built)
    with pytest.raises(BuildError, match="does not work") as told:
        packages.check_solr(name)
    assert "nonsense" in told.value.log


def test_solr_image_has_only_listed_jars(images: config.ImageSettings) -> None:
    found = sdk.find_image(images.solr)
    assert found is not None
    if found.labels.get(packages.LABEL) != "packages":
        pytest.skip("Solr's own image is here: the list is of the one that is built")
    listed = {line.split()[1] for line in (packages.SOLR_CONTEXT / "jars.sha256").read_text().splitlines()}
    code, said = sdk.run_container(
        images.solr, ["sh", "-c", "ls /opt/solr/lib | sort | sha256sum; ls /opt/solr/lib | wc -l"]
    )
    assert code == 0
    assert int(said.split()[-1]) == len(listed)


@pytest.mark.parametrize("spoil", ["none", "hidden", "capitals", "folder", "link", "missing", "bytes"])
def test_check_jars_copies_just_what_is_listed(tmp_path: Path, spoil: str) -> None:
    fetched, copied, sums = tmp_path / "fetched", tmp_path / "copied", tmp_path / "jars.sha256"
    fetched.mkdir()
    jars = {"a.jar": b"a", "b-1.2.jar": b"b"}
    for name, content in jars.items():
        (fetched / name).write_bytes(content)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in jars.items()]
    sums.write_text("".join(lines), encoding="utf-8")
    match spoil:
        case "hidden":
            (fetched / ".x").touch()
        case "capitals":
            (fetched / "x.JAR").touch()
        case "folder":
            (fetched / "x").mkdir()
        case "link":
            (fetched / "a.jar").rename(tmp_path / "a.jar")
            (fetched / "a.jar").symlink_to(tmp_path / "a.jar")
        case "missing":
            (fetched / "a.jar").unlink()
        case "bytes":
            (fetched / "a.jar").write_bytes(b"c")
        case _:
            pass
    command = ["bash", str(packages.SOLR_CONTEXT / "check-jars"), str(fetched), str(copied), str(sums)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if spoil == "none":
        assert done.returncode == 0, done.stderr
        assert {file.name: file.read_bytes() for file in copied.iterdir()} == jars
    else:
        assert done.returncode != 0
        assert not copied.exists()


def test_find_image_takes_only_a_404_for_absent() -> None:
    assert sdk.find_image("haybale-test:nobody-made-this") is None
    with pytest.raises(PrerequisiteError, match="Wrong"):
        sdk.find_image("Wrong:name")


def test_run_container_explains_what_cannot_be_started(images: config.ImageSettings) -> None:
    with pytest.raises(ServiceError, match="nobody-made-this"):
        sdk.run_container("haybale-test:nobody-made-this", ["true"])
    with pytest.raises(ServiceError, match="cannot be started") as told:
        sdk.run_container(images.python, ["no-such-command"])
    assert "no-such-command" in told.value.cause


# Prints what a child's exit code is that takes memory, and how many were killed for it meanwhile.
HUNGRY = """
import subprocess, sys
sys.path.append("/haybale")
from haybale_loader.worker_pool import count_oom_kills
before = count_oom_kills()
code = subprocess.run([sys.executable, "-c", "bytearray(200_000_000)"]).returncode
print(code, None if before is None else count_oom_kills() - before)
"""


@pytest.mark.parametrize(("limit", "said"), [("64m", "-9 1"), ("512m", "0 0")])
def test_memory_that_ran_out_is_known_to_the_engine_and_in_the_container(
    images: config.ImageSettings, tmp_path: Path, limit: str, said: str
) -> None:
    """Also where it was a child's that ran out, and the container's own process went on."""
    copy_loader(tmp_path / "loader")
    container = docker.from_env().containers.run(
        images.python,
        ["python3", "-c", HUNGRY],
        detach=True,
        labels={"io.haybale.test": RUN},
        mem_limit=limit,
        memswap_limit=limit,
        volumes={str(tmp_path / "loader"): {"bind": "/haybale", "mode": "ro"}},
    )
    try:
        assert container.wait(timeout=60)["StatusCode"] == 0
        assert container.logs(stdout=True, stderr=False).decode().strip() == said
        state = sdk.container_state(container.id or "")
        assert state.is_out_of_memory == (limit == "64m")
        assert "MB" in state.memory
    finally:
        container.remove(force=True, v=True)


def test_run_container_leaves_nothing(
    images: config.ImageSettings, built: list[str], watch_engine: Callable[..., Watch]
) -> None:
    name = f"haybale-test-{RUN}:{secrets.token_hex(4)}"
    watch = watch_engine(name)
    sdk.tag_image(images.python, ImageRef.parse(name))
    built.append(name)
    assert sdk.run_container(name, ["python", "-c", "import sys; print('out'); sys.exit(3)"]) == (3, "out")
    assert watch.container_count() == 1
    assert not watch.leftovers().containers


def test_copy_from_container_reads_a_stopped_one(images: config.ImageSettings, tmp_path: Path) -> None:
    script = "mkdir -p /x/y && echo a > /x/y/z && echo b > /x/w"
    with sdk.started_container(images.python, ["sh", "-c", script]) as container:
        sdk.client().containers.get(container).wait(timeout=PATIENCE)
        sdk.copy_from_container(container, "/x", tmp_path / "x")
    found = {
        str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*") if file.is_file()
    }
    assert found == {"x/y/z": "a\n", "x/w": "b\n"}
