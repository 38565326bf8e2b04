"""The benchmark, whole, on a corpus that is too small to say anything."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from haybale import config
from haybale.images import bases as base

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Leftovers

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

SIZE = 150


def measured(root: Path, folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Run one round with these options; return its results, and what it said."""
    command = [sys.executable, "-m", "bench", str(SIZE), "--rounds", "1", "--into", str(folder), *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "bench.json").read_text(encoding="utf-8")), done.stdout


@pytest.mark.parametrize(
    ("option", "name"), [([], f"{SIZE} documents"), (["--postgresql"], f"{SIZE} documents in PostgreSQL")]
)
def test_it_measures_every_variant_and_leaves_nothing(
    root: Path, tmp_path: Path, on_engine: Callable[[], Leftovers], option: list[str], name: str
) -> None:
    images = config.load(root, {}).settings.images
    base.ensure(images.postgres, "postgres", print)
    # The images that it needs stay; they are the site's own.
    before = on_engine()
    found, said = measured(root, tmp_path, *option)
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
    after = on_engine()
    assert after.containers == before.containers
    assert after.networks == before.networks
    assert after.volumes == before.volumes


def test_it_measures_verification_and_baking_beside_what_was_measured_before(
    root: Path, tmp_path: Path, on_engine: Callable[[], Leftovers]
) -> None:
    before = on_engine()
    (tmp_path / "bench.json").write_text('{"1 document": {"documents": 1}}', encoding="utf-8")
    measured(root, tmp_path, "--measure", "verification")
    found, said = measured(root, tmp_path, "--measure", "baking")
    assert found["1 document"] == {"documents": 1}
    found = found[f"{SIZE} documents"]
    assert set(found["verification"]["costs"]) == {"a sample", "all documents"}
    assert set(found["baking"]["least"]) == {"docker cp", "docker build"}
    assert list(found["baking"]["steps"])[-1] == "prove"
    assert found["baking"]["index_mb"] > 0
    assert "x the least" in said
    after = on_engine()
    assert (after.containers, after.networks) == (before.containers, before.networks)
    assert after.volumes == before.volumes
    assert not [name for name in after.images if "bench" in name]
