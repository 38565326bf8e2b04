from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.errors import ConfigError
from haybale.index import stack as environments

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "creates"),
    [
        ("up -d", True),
        ("--profile extra up", True),
        ("run --rm web ps", True),
        ("", False),
        ("ps --all", False),
        ("exec web sh -c up", False),
        ("exec web run up", False),
        ("logs -f create", False),
        ("down -v", False),
        ("--help", False),
    ],
)
def test_only_what_makes_containers_makes_what_they_need(line: str, creates: bool) -> None:
    assert environments.creates(line.split()) is creates


def fixed(root: Path, *fixtures: str) -> config.Project:
    settings = config.Settings(name="site", registry="r/site", core="site", fixtures=fixtures)
    return config.Project(root=root, settings=settings)


def test_fixtures_are_copied_in_their_order_under_their_names(tmp_path: Path) -> None:
    for name in ("b/words.json", "a/words.json", "more words.xml.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    project = fixed(tmp_path, "b/words.json", "a/words.json", "more words.xml.gz")
    folder = environments.copy_fixtures(project)
    found = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    assert {name: file.read_text(encoding="utf-8") for name, file in found.items()} == {
        "001/words.json": "b/words.json",
        "002/words.json": "a/words.json",
        "003/more words.xml.gz": "more words.xml.gz",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in found.values()} == {0o644}
    assert environments.copy_fixtures(project) == folder
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


def test_other_fixtures_get_another_folder(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1", encoding="utf-8")
    folder = environments.copy_fixtures(fixed(tmp_path, "a.json"))
    (tmp_path / "a.json").write_text("2", encoding="utf-8")
    assert environments.copy_fixtures(fixed(tmp_path, "a.json")) != folder
    assert list(environments.copy_fixtures(fixed(tmp_path)).iterdir()) == []


def test_a_fixture_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json is no file"):
        environments.copy_fixtures(fixed(tmp_path, "none.json"))
