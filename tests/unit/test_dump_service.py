"""What the compose environments need of the site's database."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.dump.service import copy_fixtures
from haybale.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def fixed(root: Path, *fixtures: str) -> config.Project:
    settings = config.Settings(name="site", registry="r/site", core="site", fixtures=fixtures)
    return config.Project(root=root, settings=settings)


def test_copy_fixtures_keeps_order_and_names(tmp_path: Path) -> None:
    for name in ("b/words.json", "a/words.json", "more words.xml.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    project = fixed(tmp_path, "b/words.json", "a/words.json", "more words.xml.gz")
    folder = copy_fixtures(project)
    found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    assert {name: file.read_text(encoding="utf-8") for name, file in found.items()} == {
        "001/words.json": "b/words.json",
        "002/words.json": "a/words.json",
        "003/more words.xml.gz": "more words.xml.gz",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in found.values()} == {0o644}
    assert copy_fixtures(project) == folder
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


def test_copy_fixtures_puts_other_fixtures_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1", encoding="utf-8")
    folder = copy_fixtures(fixed(tmp_path, "a.json"))
    (tmp_path / "a.json").write_text("2", encoding="utf-8")
    assert copy_fixtures(fixed(tmp_path, "a.json")) != folder
    assert list(copy_fixtures(fixed(tmp_path)).iterdir()) == []


def test_copy_fixtures_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json is not a file"):
        copy_fixtures(fixed(tmp_path, "none.json"))
