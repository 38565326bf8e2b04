"""`init` as its users call it, in a git repository."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "books.settings")\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a site in a folder, and a branch that `origin` begins with."""
    remote, root = tmp_path / "remote", tmp_path / "books"
    remote.mkdir()
    for command in (
        ("git", "init", "-q", "-b", "trunk", str(remote)),
        ("git", "-C", str(remote), "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q",
         "--allow-empty", "-m", "Begin"),
        ("git", "clone", "-q", str(remote), str(root)),
    ):  # fmt: skip
        subprocess.run(command, check=True)
    (root / "shop").mkdir()
    (root / "shop/manage.py").write_text(MANAGE, encoding="utf-8")
    return root


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haybale", "init", *arguments],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def files(root: Path) -> dict[str, str]:
    found = (
        each for each in root.rglob("*") if each.is_file() and ".git" not in each.relative_to(root).parts
    )
    return {each.relative_to(root).as_posix(): each.read_text(encoding="utf-8") for each in found}


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--dry-run", "--yes")])
def test_init_writes_nothing_where_it_may_not(root: Path, arguments: tuple[str, ...]) -> None:
    before = files(root)
    done = init(root, *arguments)
    assert done.returncode == 0, done.stderr
    assert '+site = "shop"' in done.stdout
    assert files(root) == before


def test_init_writes_from_within_once_and_then_has_nothing_to_do(root: Path) -> None:
    done = init(root / "shop", "--yes")
    assert done.returncode == 0, done.stderr
    written = files(root)
    assert set(written) == {"pyproject.toml", ".gitignore", "shop/manage.py"}
    assert 'main = "trunk"' in written["pyproject.toml"]
    again = init(root, "--yes")
    assert "There is nothing to write." in again.stdout
    assert files(root) == written


def test_init_names_a_broken_pyproject(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool\n", encoding="utf-8")
    done = init(root, "--yes")
    assert done.returncode == 3
    assert "pyproject.toml: " in done.stderr
    assert "Traceback" not in done.stderr
