"""The package as others get it: a wheel that needs nothing of this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is in the repository."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    for name in ("pyproject.toml", ".bumpversion.cfg", "LICENSE", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    (found,) = folder.glob("*.whl")
    return found


def test_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("haybale/")}
    files = {each for each in (ROOT / "src/haybale").rglob("*") if each.is_file()}
    expected = {str(each.relative_to(ROOT / "src")) for each in files if each.suffix != ".pyc"}
    assert packed == expected
    assert "haybale/py.typed" in packed


def test_wheel_installs_alone_and_runs_outside_of_this_repository(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    # What its metadata asks for, at the versions that this repository is tested with.
    pins = tmp_path / "pins.txt"
    lines = (ROOT / "requirements/haybale.txt").read_text(encoding="utf-8").splitlines()
    pins.write_text(
        "\n".join(line.rstrip(" \\") for line in lines if "--hash=" not in line), encoding="utf-8"
    )
    run(python, "-m", "pip", "install", "--quiet", "--constraint", pins, wheel, cwd=tmp_path)

    site = tmp_path / "site"
    site.mkdir()
    (site / "pyproject.toml").write_text(
        '[tool.haybale]\nname = "site"\nregistry = "registry.test/site"\ncore = "site"\n', encoding="utf-8"
    )
    assert "regen-solr-image" in run(python, "-I", "-m", "haybale", "--help", cwd=site)
    settings = json.loads(run(tmp_path / "venv/bin/haybale", "config", "--json", cwd=site))
    assert settings["core"] == {"value": "site", "source": "pyproject.toml:4"}
    where = run(python, "-I", "-c", "import haybale; print(haybale.__file__)", cwd=site)
    assert where.startswith(str(tmp_path / "venv"))
