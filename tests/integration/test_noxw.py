"""The launcher, where it can't do its work: one clear line, and nothing half made."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

ENVIRONMENT = 4  # PrerequisiteError.exit_code


@pytest.fixture
def place(root: Path, tmp_path: Path) -> Path:
    """A folder with the launcher and its lock, and a bin/ with no Python in it."""
    shutil.copy(root / "noxw", tmp_path)
    (tmp_path / "requirements").mkdir()
    shutil.copy(root / "requirements/launcher.txt", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname", "cmp", "mkdir", "rm", "cp", "mv"):
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    # Not root, so that nothing is installed on the machine that tests.
    script(tmp_path, "id", "echo 1000")
    return tmp_path


def script(place: Path, name: str, body: str) -> None:
    file = place / "bin" / name
    file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    file.chmod(0o755)


def start(place: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [place / "noxw", "-s", "version"],
        env={"PATH": str(place / "bin"), **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def assert_one_line(done: subprocess.CompletedProcess[str], words: str, place: Path) -> None:
    assert done.returncode == ENVIRONMENT
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr
    assert not list(place.glob(".haybale/launcher*"))


def test_noxw_without_python(place: Path) -> None:
    assert_one_line(start(place), "python3 is not installed", place)


def test_noxw_with_an_old_python(place: Path) -> None:
    script(place, "python3", 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    assert_one_line(start(place), "Python 3.9.2 is too old", place)


def test_noxw_names_the_package_of_a_missing_venv(place: Path) -> None:
    script(place, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    assert_one_line(start(place), "python3-venv", place)


def test_noxw_leaves_nothing_of_a_failed_installation(place: Path) -> None:
    """The next start must try again, so nothing may stand where the finished environment would."""
    body = 'case "$*" in *"-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";; *"-m pip"*) exit 1;; esac'
    script(place, "python3", body)
    done = start(place)
    assert done.returncode == ENVIRONMENT
    assert "could not be installed" in done.stderr
    assert not list(place.glob(".haybale/launcher*"))
