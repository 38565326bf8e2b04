"""The benchmark, whole, on a corpus that is too small to say anything."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bench import measure
from haybale import config
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Watch

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

SIZE = 150


@pytest.fixture
def solr(solr_image: str) -> Iterator[str]:
    """Another name of Solr's image, by which its containers are known as this test's."""
    name = f"haybale-test-{os.environ['HAYBALE_TEST_RUN']}:{secrets.token_hex(4)}"
    sdk.tag_image(solr_image, ImageRef.parse(name))
    yield name
    sdk.remove_image(name)


def measured(root: Path, folder: Path, solr: str, *options: str) -> tuple[dict[str, Any], str]:
    """Run one round with these options; return its results, and what it said."""
    command = [sys.executable, "-m", "bench", str(SIZE), "--rounds", "1", "--into", str(folder), *options]
    env = {**os.environ, "SOLR_IMAGE": solr}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "bench.json").read_text(encoding="utf-8")), done.stdout


@pytest.mark.parametrize(
    ("option", "name"), [([], f"{SIZE} documents"), (["--postgresql"], f"{SIZE} documents in PostgreSQL")]
)
def test_bench_measures_every_variant_and_leaves_nothing(  # noqa: PLR0917
    root: Path, tmp_path: Path, solr: str, watch_engine: Callable[..., Watch], option: list[str], name: str
) -> None:
    images = config.load(root, {}).settings.images
    ensure_base_image(ImageRef.parse(images.postgres), "postgres", os.environ, print)
    watch = watch_engine("haybale-bench", measure.LABEL, solr)
    found, said = measured(root, tmp_path, solr, *option)
    found = found[name]
    assert found["documents"] == SIZE
    assert set(found["variants"]) == {"haystack -b500 -k4", "haystack -b1000 -k2", "ours"}
    for variant in found["variants"].values():
        assert len(variant["every_run"]) == 1
        assert variant["loader_cpu"] > 0
        assert variant["solr_cpu"] > 0
        assert variant["largest_process_mb"] > 0
    assert found["floor"]["seconds"] > 0
    assert (tmp_path / "bench.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "of the floor" in said
    assert watch.container_count()
    left = watch.leftovers()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())
    assert left.images == {solr}


def test_bench_adds_verification_and_baking_to_earlier_results(
    root: Path, tmp_path: Path, solr: str, watch_engine: Callable[..., Watch]
) -> None:
    watch = watch_engine("haybale-bench", measure.LABEL, solr)
    (tmp_path / "bench.json").write_text('{"1 document": {"documents": 1}}', encoding="utf-8")
    measured(root, tmp_path, solr, "--measure", "verification")
    found, said = measured(root, tmp_path, solr, "--measure", "baking")
    assert found["1 document"] == {"documents": 1}
    found = found[f"{SIZE} documents"]
    assert set(found["verification"]["costs"]) == {"a sample", "all documents"}
    assert set(found["baking"]["least"]) == {"docker cp", "docker build"}
    assert list(found["baking"]["steps"])[-1] == "prove"
    assert found["baking"]["index_mb"] > 0
    assert "x the least" in said
    assert watch.container_count()
    left = watch.leftovers()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())
    assert left.images == {solr}
