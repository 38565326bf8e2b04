"""An import that points up breaks lint."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Copy the package and its contract to where they may be changed."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "haybale", tmp_path / "src" / "haybale", ignore=ignored)
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")}, text=True, capture_output=True, check=False,
    )  # fmt: skip


def test_the_package_as_it_is_keeps_the_contract(source: Path) -> None:
    done = lint_imports(source)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("tools/git.py", "from haybale.release import bump"),
        ("index/key.py", "from haybale.pipeline import plan"),
        ("images/build.py", "if 0:\n    from haybale.deploy import tags"),
        ("errors.py", "import haybale.config"),
        ("cli.py", "import haybale.__main__"),
    ],
)
def test_an_import_that_points_up_breaks_the_contract(source: Path, module: str, line: str) -> None:
    with (source / "src" / "haybale" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")

    done = lint_imports(source)

    assert done.returncode != 0
    assert "Imports point down only BROKEN" in done.stdout


def test_a_module_outside_of_every_layer_breaks_the_contract(source: Path) -> None:
    (source / "src" / "haybale" / "helpers.py").write_text('"""A room of its own."""\n', encoding="utf-8")

    done = lint_imports(source)

    assert done.returncode != 0
    assert "helpers" in done.stdout
