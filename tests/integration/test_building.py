"""Building, with the real engine and a real registry: names, caches, pushing, and how a failure is told."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests

from haybale import config
from haybale.checkout import read_checkout
from haybale.image_ref import ImageRef
from haybale.images.build import build_solr_image
from haybale.images.transfer import push_image
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]

BUILD_FAILED = 6  # BuildError.exit_code

SITE = """\
ARG PYTHON_IMAGE
FROM ${{PYTHON_IMAGE}} AS release
LABEL io.haybale.test={run}
RUN --network=none echo "cached or not {mark}" && od -An -N8 -tx8 /dev/urandom > /drawn
FROM release AS tester
RUN : {mark}; cat /drawn > /tested
FROM release AS broken
RUN echo "the reason is here" && false
"""

# Takes every connection from one address to another: ports of loopback, or files.
RELAY = """
import socket, sys, threading
def place(address):
    return (socket.AF_UNIX, address) if "/" in address else (socket.AF_INET, ("127.0.0.1", int(address)))
def pump(source, sink):
    while part := source.recv(1 << 16):
        sink.sendall(part)
    sink.shutdown(socket.SHUT_WR)
here, there = map(place, sys.argv[1:])
listener = socket.socket(here[0])
listener.bind(here[1])
listener.listen()
while True:
    near, far = listener.accept()[0], socket.socket(there[0])
    far.connect(there[1])
    for ends in ((near, far), (far, near)):
        threading.Thread(target=pump, args=ends, daemon=True).start()
"""
# An engine in a network of its own, so that it leaves this machine's as it is, and reaches the registry only.
ENGINE = """
ip link set lo up
"$PYTHON" -c "$RELAY" "$PORT" "$FOLDER/way" &
exec dockerd --config-file="$FOLDER/daemon.json" --host="unix://$FOLDER/engine" --data-root="$FOLDER/data" \\
    --exec-root="$FOLDER/exec" --pidfile="$FOLDER/pid" --bridge=none --iptables=false --ip6tables=false
"""
# What it takes to run one.
ENGINE_PROGRAMS = ("dockerd", "ip", "unshare")

# Seconds that it gets to answer, and to end.
PATIENCE = 60


@pytest.fixture
def site(tmp_path: Path, registry: str) -> Iterator[Path]:
    """A repository with a small Dockerfile, whose images belong to that registry."""
    # Steps of its own: what an earlier test left in the engine's cache is not theirs.
    mark = secrets.token_hex(4)
    (tmp_path / "Dockerfile").write_text(SITE.format(run=RUN, mark=mark), encoding="utf-8")
    (tmp_path / ".bumpversion.cfg").write_text("[bumpversion]\ncurrent_version = 1.2.3\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.haybale]\nname = "site"\nregistry = "{registry}/site"\ncore = "site"\n'
        'dockerfile = "Dockerfile"\nstages = {release = "release", tester = "tester"}\n',
        encoding="utf-8",
    )
    yield tmp_path
    remove_images(registry)


def mark_of(site: Path) -> str:
    """Return the word that is in all steps of this site's builds."""
    return (site / "Dockerfile").read_text(encoding="utf-8").partition("cached or not ")[2][:8]


def haybale(
    site: Path, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "haybale", *arguments],
        cwd=site, env={**os.environ, "prNum": "", **(env or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def in_image(image: str, file: str, env: Mapping[str, str] | None = None) -> str:
    command = ["docker", "run", "--rm", "--network=none", image, "cat", file]
    return subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=True
    ).stdout.strip()


def remove_images(registry: str) -> None:
    """Remove the site's images; what the engine keeps of their steps is small."""
    client = docker.from_env()
    for image in client.images.list(f"{registry}/site"):
        client.images.remove(str(image.id), force=True)


def forget_builds(registry: str, mark: str) -> None:
    """Remove the site's images, and the steps that have the mark.

    An engine forgets all others with them, though it keeps their files (26.1, containerd's store).
    """
    remove_images(registry)
    usage = subprocess.run(
        ["docker", "buildx", "du", "--verbose"], capture_output=True, text=True, check=True
    )
    for step in usage.stdout.split("\n\n"):
        found = re.search(r"^ID:\s+(\S+)", step, re.MULTILINE)
        if found and (mark in step or registry in step):
            subprocess.run(
                ["docker", "buildx", "prune", "--all", "--force", "--filter", f"id={found[1]}"],
                capture_output=True, check=True,
            )  # fmt: skip


@contextlib.contextmanager
def another_machine(registry: str, mark: str, image: str) -> Iterator[dict[str, str]]:
    """Yield the variables that lead to an engine that has built nothing, and has only this image.

    Where none can be run (for that it takes root), it is this one, which forgets the site's builds.
    """
    if not can_run_engine():
        forget_builds(registry, mark)
        yield {}
        return
    # Not in pytest's folder: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder, contextlib.ExitStack() as stack:
        Path(folder, "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}', "ascii")
        port = registry.rpartition(":")[2]
        env = {**os.environ, "PYTHON": sys.executable, "RELAY": RELAY, "PORT": port, "FOLDER": folder}
        log = stack.enter_context(Path(folder, "log").open("wb"))
        for command in (
            [sys.executable, "-c", RELAY, f"{folder}/way", port],
            ["unshare", "--net", "sh", "-euc", ENGINE],
        ):
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
            stack.callback(process.wait, PATIENCE)
            stack.callback(os.killpg, process.pid, signal.SIGTERM)
        there = {"DOCKER_HOST": f"unix://{folder}/engine"}
        wait_for_engine({**os.environ, **there}, Path(folder, "log"))
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
            load = ["docker", "load", "--quiet"]
            subprocess.run(
                load, stdin=saving.stdout, env={**os.environ, **there}, capture_output=True, check=True
            )
        yield there


def can_run_engine() -> bool:
    """Return whether there are the programs and the rights to run an engine in a network of its own."""
    if os.geteuid() or not all(map(shutil.which, ENGINE_PROGRAMS)):
        return False
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


def wait_for_engine(env: Mapping[str, str], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while subprocess.run(["docker", "version"], env=env, capture_output=True, check=False).returncode:
        assert time.monotonic() < end, log.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.1)


def test_build_gives_release_the_plain_tag_and_stages_their_own(site: Path, registry: str) -> None:
    haybale(site, "build")
    haybale(site, "build", "tester", "--load", "")
    release = docker.from_env().images.get(f"{registry}/site:v1.2.3")
    assert release.labels["org.opencontainers.image.version"] == "v1.2.3"
    # Outside of git there is no commit, and its time is the beginning of time.
    assert release.labels["org.opencontainers.image.created"] == "1970-01-01T00:00:00Z"
    assert release.attrs["Created"].startswith("1970-01-01T00:00:00")
    assert in_image(f"{registry}/site:v1.2.3-tester", "/tested") == in_image(
        f"{registry}/site:v1.2.3", "/drawn"
    )


def test_push_puts_a_stage_into_the_registry_under_its_name(site: Path, registry: str) -> None:
    haybale(site, "push", "tester")
    accepted = {
        "Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    }
    found = requests.head(f"http://{registry}/v2/site/manifests/v1.2.3-tester", headers=accepted, timeout=30)
    absent = requests.head(f"http://{registry}/v2/site/manifests/v1.2.3", headers=accepted, timeout=30)
    assert (found.status_code, absent.status_code) == (200, 404)


def test_quiet_build_prints_nothing_where_it_succeeds(site: Path) -> None:
    done = haybale(site, "build", "release", "--load", "")
    assert "cached or not" not in done.stderr
    assert done.stdout == ""


def test_quiet_build_shows_its_log_once_where_it_fails(site: Path) -> None:
    done = haybale(site, "build", "broken", "--load", "", code=BUILD_FAILED)
    assert done.stderr.count('RUN echo "the reason is here" && false') >= 1
    # What the step itself printed: in the log where it happened, and in buildx's own excerpt of it.
    log = done.stderr.partition("------\n")[0]
    assert log.count("the reason is here\n") == 1
    assert "the stage broken could not be built" in done.stderr


def test_build_refuses_an_unknown_stage_before_anything_runs(site: Path) -> None:
    done = haybale(site, "build", "releas", code=2)
    assert "did you mean 'release'?" in done.stderr


def test_build_of_solr_without_an_index_names_regeneration(site: Path) -> None:
    with (site / "Dockerfile").open("a", encoding="utf-8") as file:
        file.write("FROM release AS solr\n")
    done = haybale(site, "build", "solr", code=BUILD_FAILED)
    assert "haybale regen-solr-image" in done.stderr


def test_build_reads_the_registry_s_cache_on_another_machine(site: Path, registry: str) -> None:
    """What the first build drew by lot, the second has too, though the engine forgot the first."""
    if not sdk.engine_info().has_containerd_store:
        pytest.skip("this engine's image store can't write registry caches")
    mark, name = mark_of(site), f"{registry}/site:v1.2.3"
    haybale(site, "build")
    drawn = in_image(name, "/drawn")
    base = config.load(site, {}).settings.images.python
    settings = site / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    for more, is_same in (("", True), ("[tool.haybale.build]\ncache = false\n", False)):
        settings.write_text(text + more, encoding="utf-8")
        with another_machine(registry, mark, base) as there:
            haybale(site, "build", env=there)
            assert (in_image(name, "/drawn", there) == drawn) is is_same


def manifest(registry: str, reference: str) -> dict[str, Any]:
    kinds = (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
    answer = requests.get(
        f"http://{registry}/v2/site/manifests/{reference}", headers={"Accept": ", ".join(kinds)}, timeout=60
    )
    answer.raise_for_status()
    return dict(answer.json())


def test_build_solr_image_gives_one_layer_for_every_platform(
    site: Path, registry: str, tmp_path: Path
) -> None:
    """Nothing runs in that stage, so nothing is emulated: the bases here could not even start."""
    if not sdk.engine_info().has_containerd_store:
        pytest.skip("this engine's image store holds one platform (Docker: the containerd image store)")
    platforms = "linux/amd64,linux/arm64"
    base = f"{registry}/site:base"
    folder = tmp_path / "base"
    folder.mkdir()
    for machine in ("amd64", "arm64"):
        (folder / machine).write_text(machine, encoding="utf-8")
    (folder / "Dockerfile").write_text(
        f"FROM scratch\nARG TARGETARCH\nLABEL io.haybale.test={RUN}\nCOPY ${{TARGETARCH}} /machine\n", "utf-8"
    )
    command = ["docker", "buildx", "build", "--platform", platforms, "--provenance=false", "--load"]
    subprocess.run([*command, "--tag", base, str(folder)], check=True, capture_output=True)
    with (site / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'images.solr = "{base}"\nbuild.platform = "{platforms}"\n')
    home = tmp_path / "solr"
    (home / "site").mkdir(parents=True)
    (home / "site/segments_1").write_bytes(os.urandom(100_000))
    image = ImageRef.parse(f"{registry}/site:solr")
    checkout = read_checkout(config.load(site, {}), os.environ)
    build_solr_image(checkout, image, home, {"a": "b"}, print, core="site")
    push_image(image)
    listed = manifest(registry, "solr")["manifests"]
    assert {each["platform"]["architecture"] for each in listed} == {"amd64", "arm64"}
    layers = [[layer["digest"] for layer in manifest(registry, each["digest"])["layers"]] for each in listed]
    assert layers[0][0] != layers[1][0], "the bases differ"
    assert layers[0][1:] == layers[1][1:]
