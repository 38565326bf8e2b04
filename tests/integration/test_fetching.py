"""A dump that is not in git is what a command brings, if it is the one that the settings pin."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.dump.fetching import find_dump
from haybale.errors import ConfigError, DumpError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

CONTENT = "CREATE TABLE page (id INTEGER PRIMARY KEY);\n"
DIGEST = hashlib.sha256(CONTENT.encode()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "backup.sql").write_text(CONTENT, encoding="utf-8")
    return tmp_path


def project(folder: Path, program: str, sha256: str | None) -> config.Project:
    """Return a repository whose dump a Python program brings; it notes that it ran."""
    noting = f"import sys; open('runs', 'a').write('x'); {program}"
    fetch = json.dumps([sys.executable, "-c", noting, "backup.sql", "{file}"])
    pinned = f'database.sha256 = "{sha256}"\n' if sha256 else ""
    (folder / "pyproject.toml").write_text(
        f'[tool.haybale]\nname = "site"\nregistry = "localhost:5000/x"\ndatabase.fetch = {fetch}\n{pinned}',
        encoding="utf-8",
    )
    return config.load(folder, {})


COPY = "import shutil; shutil.copy(sys.argv[1], sys.argv[2])"


def test_find_dump_fetches_it_once(folder: Path) -> None:
    made = project(folder, COPY, DIGEST)
    first, second = find_dump(made), find_dump(made)
    assert first == second
    assert first.target.read_text(encoding="utf-8") == CONTENT
    assert (folder / "runs").read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize(
    ("program", "sha256", "kind", "words"),
    [
        (COPY, None, ConfigError, f'sha256 = "{DIGEST}"'),
        (COPY, "0" * 64, DumpError, f'sha256 = "{DIGEST}"'),
        ("sys.exit('no credentials')", DIGEST, DumpError, "run it by hand"),
        ("pass", DIGEST, DumpError, "have it write to {file}"),
    ],
)
def test_find_dump_takes_nothing_else(
    folder: Path, program: str, sha256: str | None, kind: type[Exception], words: str
) -> None:
    made = project(folder, program, sha256)
    with pytest.raises(kind) as raised:
        find_dump(made)
    assert words in raised.value.hint  # type: ignore[attr-defined]
    assert list((made.scratch / "fetched").iterdir()) == []
