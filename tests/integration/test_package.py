"""The package as others get it: a wheel that needs nothing of this repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    packed = {name for name in contents(wheel) if name.startswith("haybale/")}
    files = {each for each in (ROOT / "src/haybale").rglob("*") if each.is_file()}
    expected = {str(each.relative_to(ROOT / "src")) for each in files if each.suffix != ".pyc"}
    assert packed == expected
    assert "haybale/py.typed" in packed


def test_wheel_says_where_it_comes_from_and_what_it_runs_on(wheel: Path) -> None:
    (metadata,) = (text for name, text in contents(wheel).items() if name.endswith("/METADATA"))
    message = message_from_bytes(metadata)
    assert message["Requires-Python"] == ">=3.11"
    assert message["License-Expression"] == "BSD-3-Clause"
    assert message["Description-Content-Type"] == "text/markdown"
    urls = dict(each.split(", ") for each in message.get_all("Project-URL", []))
    assert {*urls} == {"Documentation", "Source", "Issues", "Changelog"}
    assert {"bump", "bump-my-version", "rehearse", "requirements"} == {*message.get_all("Provides-Extra", [])}
    versions = {
        each.rpartition(" ")[2] for each in message.get_all("Classifier", []) if "Python :: 3." in each
    }
    matrix = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert f"python: {json.dumps(sorted(versions))}" in matrix


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build")
    # Beside the wheel lies what it was built from.
    run(*build, "-t", "sdist", "-d", tmp_path, cwd=wheel.parent / "source")
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    run(*build, "-t", "wheel", "-d", tmp_path, cwd=tmp_path / sdist.name.removesuffix(".tar.gz"))
    assert contents(tmp_path / wheel.name) == contents(wheel)


def test_wheel_installs_alone_and_runs_outside_of_this_repository(installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "pyproject.toml").write_text(
        '[tool.haybale]\nname = "site"\nregistry = "registry.test/site"\ncore = "site"\n', encoding="utf-8"
    )
    python = installed / "python"
    assert "regen-solr-image" in run(python, "-I", "-m", "haybale", "--help", cwd=site)
    settings = json.loads(run(installed / "haybale", "config", "--json", cwd=site))
    assert settings["core"] == {"value": "site", "source": "pyproject.toml:4"}
    where = run(python, "-I", "-c", "import haybale; print(haybale.__file__)", cwd=site)
    assert where.startswith(str(installed.parent))
