"""The main job, on the real site: what it leaves behind when all goes well, and when it does not."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import docker
import pytest
import requests

from haybale import config
from haybale.checkout import read_checkout
from haybale.errors import LoadError, VerifyError
from haybale.image_ref import ImageRef
from haybale.index import bake
from haybale.index.contents import find_index_image, read_contents
from haybale.index.image import COUNTS_LABEL, find_verified_image, read_counts
from haybale.index.key import compute_key
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Watch

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]
LABELS = {"io.haybale.test": RUN}

# Exit codes of the verb (errors.py, cli.py).
FAILED_LOADING = LoadError.exit_code
INTERRUPTED = 130


@contextlib.contextmanager
def regenerating(site: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the verb in a process group of its own, as a terminal would."""
    process = subprocess.Popen(
        [sys.executable, "-m", "haybale", "regen-solr-image"],
        cwd=site, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr:
            process.stderr.close()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """Read what the verb says up to a line that has `wanted`; return all of it."""
    said = ""
    assert process.stderr
    for line in process.stderr:
        said += line
        if wanted in line:
            return said
    raise AssertionError(f"{wanted!r} was never said:\n{said}")


def rest(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    said = process.stderr.read()
    process.wait()
    return said


def replace_once(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def assert_nothing_is_left(watch: Watch) -> None:
    left = watch.leftovers()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())
    assert not {name for name in left.images if "solr" in name}


# A stage that lays out the site's one core itself.
LAID_OUT = """
ARG CORE
COPY --link --chown=8983:8983 <<EOF /opt/haybale/solr/${CORE}/core.properties
name=${CORE}
EOF
COPY --link --chown=8983:8983 solr_conf /opt/haybale/solr/${CORE}/conf
COPY --link --from=index --chown=8983:8983 . /opt/haybale/solr/${CORE}/data
"""
MOUNTED = """\
  solr:
    volumes:
      - ${HAYBALE_SOLRCONFIG}:/opt/haybale/solr/${HAYBALE_CORE}/conf/solrconfig.xml:ro
"""


def test_regenerate_leaves_one_image_with_the_database_s_counts(site: Path, watch: Watch) -> None:
    """Also where the Dockerfile lays out the core, and Solr cannot serve the configuration as it is."""
    with (site / "Dockerfile").open("a", encoding="utf-8") as dockerfile:
        dockerfile.write(LAID_OUT)
    with (site / ".dockerignore").open("a", encoding="utf-8") as ignored:
        ignored.write("!solr_conf\n")
    with (site / "docker-compose.solr.yml").open("a", encoding="utf-8") as compose:
        compose.write(MOUNTED)
    replace_once(site / "solr_conf/solrconfig.xml", '<schemaFactory class="ClassicIndexSchemaFactory"/>', "")
    with regenerating(site) as process:
        said = rest(process)
    assert process.returncode == 0, said
    assert "solr_conf/solrconfig.xml: the schema factory is ClassicIndexSchemaFactory" in said
    left = watch.leftovers()
    assert watch.container_count()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())
    project = config.load(site, {})
    checkout = read_checkout(project, {})
    name = str(checkout.stage_image("solr"))
    made = compute_key(project)
    key_name = str(checkout.index_image(made.value))
    assert {image for image in left.images if "solr" in image} == {name, key_name}
    found = find_verified_image(checkout, made)
    assert found is not None, "it is the key's, and was verified here"
    assert found.counts["archive.passage"] > 0
    assert "archive.passage" in docker.from_env().images.get(name).labels[COUNTS_LABEL]
    told = read_contents(*find_index_image(project, name)).to_dict()
    assert told["counts"] == found.counts
    assert "; ".join(told["serving"]) == told["components"]["serving"]["value"]
    assert "solr_conf/solrconfig.xml: only searches are answered" in said
    assert told["verification"]["compared"] > 200
    assert {model["model"] for model in told["verification"]["models"]} == set(found.counts)


ENGLISH = """_env.text("SOLR_URL", f"http://{'127.0.0.1' if DEBUG else 'solr'}:8983/solr/sotu"),"""
GERMAN = """
HAYSTACK_CONNECTIONS["german"] = {
    **HAYSTACK_CONNECTIONS["default"],
    "URL": _env.text("SOLR_BASE_URL", "http://solr:8983/solr") + "/de",
    "EXCLUDED_INDEXES": ["archive.search_indexes.PassageIndex", "archive.search_indexes.AddressIndex"],
}
"""


def test_regenerate_makes_every_core_that_the_site_s_connections_name(site: Path, watch: Watch) -> None:
    settings = site / "web/sotu/settings.py"
    replace_once(settings, ENGLISH, '_env.text("SOLR_BASE_URL", "http://solr:8983/solr") + "/en",')
    replace_once(settings, '\nLANGUAGE_CODE = "en-us"', f'{GERMAN}\nLANGUAGE_CODE = "en-us"')
    replace_once(site / "pyproject.toml", '\ncore = "sotu"\n', "\n")
    shutil.copytree(site / "solr_conf", site / "solr_de")
    replace_once(
        site / "pyproject.toml",
        '\nsolr_conf = "solr_conf"\n',
        '\nsolr_conf = {en = "solr_conf", de = "solr_de"}\n',
    )
    with regenerating(site) as process:
        said = rest(process)
    assert process.returncode == 0, said
    assert "HAYSTACK_CONNECTIONS names the cores en, de" in said
    left = watch.leftovers()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())
    project = config.load(site, {})
    checkout, key = read_checkout(project, {}), compute_key(project)
    found = find_verified_image(checkout, key)
    assert found is not None
    assert list(found.cores) == ["en", "de"]
    assert "archive.passage" not in found.cores["de"]
    for model, count in found.cores["de"].items():
        assert found.cores["en"][model] == count
        assert found.counts[model] == 2 * count
    told = read_contents(*find_index_image(project, key.value)).to_dict()
    assert {model["core"] for model in told["verification"]["models"]} == {"en", "de"}
    # An image whose second core is damaged does not pass.
    spoiled = f"{project.settings.name}-spoiled:{RUN}"
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--load", "--tag", spoiled, "-"],
        input=f"FROM {found.name}\nRUN rm -r /opt/haybale/solr/de/data/index/*\n", text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    with pytest.raises(VerifyError, match="core de"):
        bake.verify_image(spoiled, found.cores, LABELS, is_closed=True)


TINY = f"haybale-test-{RUN}-{secrets.token_hex(4)}"


def tiny(name: str) -> str:
    """Make an image with nothing but a file of its own; return its id."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(name)
        archive.addfile(member, io.BytesIO(name.encode()))
    docker.from_env().api.import_image_from_data(file.getvalue(), repository=TINY, tag=name)
    found = sdk.find_image(f"{TINY}:{name}")
    assert found
    return found.id


def test_tag_image_removes_only_an_image_that_loses_its_last_name(watch_engine: Callable[..., Watch]) -> None:
    watch = watch_engine(TINY)
    one, two = tiny("one"), tiny("two")
    try:
        sdk.tag_image(f"{TINY}:one", ImageRef.parse(f"{TINY}:latest"))
        sdk.tag_image(f"{TINY}:two", ImageRef.parse(f"{TINY}:latest"))
        assert sdk.find_image(one) is not None, "it has its other name"
        sdk.tag_image(f"{TINY}:two", ImageRef.parse(f"{TINY}:one"))
        assert sdk.find_image(one) is None, "that was its last one"
        assert sdk.find_image(two) is not None
    finally:
        for name in ("one", "two", "latest"):
            sdk.remove_image(f"{TINY}:{name}")
    assert not watch.leftovers()


def test_regenerate_explains_a_failing_loader_and_leaves_nothing(site: Path, watch: Watch) -> None:
    indexes = site / "web/archive/search_indexes.py"
    text = indexes.read_text(encoding="utf-8")
    marker = "class PassageIndex("
    assert marker in text
    spoiled = text.replace(
        marker,
        "class _Spoiled:\n"
        "    def full_prepare(self, obj):\n"
        "        if obj.pk == 5000:\n"
        "            raise ZeroDivisionError('spoiled on purpose')\n"
        "        return super().full_prepare(obj)\n\n\n"
        f"{marker}_Spoiled, ",
    )
    indexes.write_text(spoiled, encoding="utf-8")
    with regenerating(site) as process:
        said = rest(process)
    assert process.returncode == FAILED_LOADING, said
    assert "archive.passage" in said
    assert "5000" in said
    assert "spoiled on purpose" in said
    assert "Traceback" not in said.partition("haybale: ")[2]
    assert_nothing_is_left(watch)


def test_regenerate_fails_soon_and_leaves_nothing_where_solr_is_killed(site: Path, watch: Watch) -> None:
    with regenerating(site) as process:
        read_until(process, "archive.passage: ")
        client = docker.from_env()
        (solr,) = [
            container
            for container in client.containers.list(
                filters={"label": "com.docker.compose.service=solr"}, ignore_removed=True
            )
            if (container.name or "").startswith(f"{config.load(site, {}).settings.name}-solr-")
        ]
        solr.kill()
        said = rest(process)
    assert process.returncode == FAILED_LOADING, said
    assert "Solr has exited, with code 137" in said
    assert_nothing_is_left(watch)


@pytest.mark.parametrize("moment", ["starting Solr", "archive.passage: "])
def test_regenerate_leaves_nothing_after_ctrl_c(site: Path, watch: Watch, moment: str) -> None:
    with regenerating(site) as process:
        read_until(process, moment)
        os.killpg(process.pid, signal.SIGINT)
        said = rest(process)
    assert process.returncode == INTERRUPTED, said
    assert "Traceback" not in said
    assert_nothing_is_left(watch)


def test_baked_image_serves_its_own_index_over_an_older_volume(root: Path) -> None:
    project = config.load(root, {})
    name = str(read_checkout(project, {}).stage_image("solr"))
    client = docker.from_env()
    # What compose keeps across recreates is the volume that the base image declares.
    volume = client.volumes.create(labels=LABELS)
    try:
        older = client.containers.run(
            project.settings.images.solr, ["true"], entrypoint=[], detach=True, labels=LABELS,
            volumes={volume.name: {"bind": "/var/solr", "mode": "rw"}},
        )  # fmt: skip
        older.wait()
        older.remove()
        container = client.containers.run(
            name, detach=True, labels=LABELS, ports={"8983/tcp": ("127.0.0.1", 0)},
            volumes={volume.name: {"bind": "/var/solr", "mode": "rw"}},
        )  # fmt: skip
        try:
            counts = read_counts(client.images.get(name).labels)
            assert sum(counts.values()) == documents(container.id or "", project.settings.cores[0])
        finally:
            container.remove(force=True)
    finally:
        volume.remove()


def documents(container: str, core: str) -> int:
    url = f"http://{sdk.published_address(container, 8983)}"
    Solr(url, core).wait_ready(timeout=120, is_alive=lambda: sdk.is_container_running(container))
    answer = requests.get(f"{url}/solr/{core}/select", params={"q": "*:*", "rows": "0"}, timeout=30)
    return int(answer.json()["response"]["numFound"])


def test_stop_solr_refuses_one_that_was_killed(root: Path) -> None:
    client = docker.from_env()
    container = client.containers.run(
        config.load(root, os.environ).settings.images.solr,
        ["sleep", "1000"],
        entrypoint=[],
        detach=True,
        init=False,
        labels=LABELS,
    )
    try:
        container.kill()
        with pytest.raises(LoadError, match="did not stop cleanly"):
            bake.stop_solr(container.id or "")
    finally:
        container.remove(force=True, v=True)
