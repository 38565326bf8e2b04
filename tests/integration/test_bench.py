"""The benchmark, whole, on a corpus that is too small to say anything."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.images import base

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Leftovers

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

SIZE = 150


@pytest.mark.parametrize(
    ("option", "name"), [([], f"{SIZE} documents"), (["--postgresql"], f"{SIZE} documents in PostgreSQL")]
)
def test_it_measures_every_variant_and_leaves_nothing(
    root: Path, tmp_path: Path, on_engine: Callable[[], Leftovers], option: list[str], name: str
) -> None:
    images = config.load(root, {}).settings.images
    base.ensure(images.postgres, "postgres", print)
    command = [sys.executable, "-m", "bench", str(SIZE), "--rounds", "1", "--into", str(tmp_path), *option]
    # The images that it needs stay; they are the site's own.
    before = on_engine()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))[name]
    assert found["documents"] == SIZE
    assert set(found["variants"]) == {"haystack -b500 -k4", "haystack -b1000 -k2", "ours"}
    for variant in found["variants"].values():
        assert len(variant["every_run"]) == 1
        assert variant["loader_cpu"] > 0
        assert variant["solr_cpu"] > 0
        assert variant["largest_process_mb"] > 0
    assert found["floor"]["seconds"] > 0
    assert (tmp_path / "bench.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "of the floor" in done.stdout
    after = on_engine()
    assert after.containers == before.containers
    assert after.networks == before.networks
    assert after.volumes == before.volumes
