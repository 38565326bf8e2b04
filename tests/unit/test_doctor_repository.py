"""What `doctor` says of git's state and settings, of the dump, and of the haybale that is pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.doctor import repository

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '[tool.haybale]\nname = "shop"\nregistry = "registry.test/shop"\n'


def load(root: Path, more: str = "") -> config.Project:
    (root / "pyproject.toml").write_text(HEAD + more, encoding="utf-8")
    return config.load(root, {})


def test_check_state_names_what_is_unfinished_shallow_or_in_the_future() -> None:
    found = [*repository.check_state("rebase", is_shallow=True, ahead=2 * repository.FUTURE)]
    assert [each.what for each in found] == [
        "git is in the middle of a rebase",
        "this clone is shallow",
        "the commit checked out is 48 hours in the future",
    ]
    assert all(each.why and each.fix for each in found)
    assert list(repository.check_state(None, is_shallow=False, ahead=-5)) == []


@pytest.mark.parametrize(
    ("autocrlf", "symlinks", "words"),
    [
        (None, None, []),
        ("input", "true", []),
        ("True", None, ["core.autocrlf is true"]),
        ("true", "false", ["core.autocrlf is true", "core.symlinks is false"]),
    ],
)
def test_check_conversions_names_git_s_settings(
    autocrlf: str | None, symlinks: str | None, words: list[str]
) -> None:
    found = [each.what for each in repository.check_conversions(autocrlf, symlinks)]
    assert len(found) == len(words)
    assert all(word in what for word, what in zip(words, found, strict=True))


def test_check_remote_tells_that_there_is_none() -> None:
    (found,) = repository.check_remote(None)
    assert found.fix == "git remote add origin URL"
    assert list(repository.check_remote("https://forge.test/shop")) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('HAYBALE = "haybale{extras}==0.9.0"', "noxfile.py:2: it installs haybale 0.9.0, and this is 1.0.0"),
        ('session.install("haybale[bump, rehearse]==2.0rc1")', "it installs haybale 2.0rc1"),
        ('session.install("haybale==1.0.0")', None),
        ('session.install("nothaybale==0.1")', None),
        ('session.install("haybale")', None),
    ],
)
def test_check_pins_compares_with_the_haybale_that_runs(tmp_path: Path, line: str, words: str | None) -> None:
    project = load(tmp_path)
    (tmp_path / "noxfile.py").write_text(f"import nox\n{line}\n", encoding="utf-8")
    found = [each.what for each in repository.check_pins(project, "1.0.0")]
    assert len(found) == (words is not None)
    assert all((words or "") in what for what in found)


def test_examine_dump_fetches_none_and_names_what_keeps_it_from_coming(tmp_path: Path) -> None:
    project = load(tmp_path, '[tool.haybale.database]\nfetch = ["curl", "https://a.test/dump"]\n')
    diagnosis = repository.examine_dump(project)
    assert diagnosis.seen == "not fetched yet, by curl"
    assert [each.what for each in diagnosis.findings] == [
        "database.fetch has no {file}",
        "database.fetch has a command, and database.sha256 does not say which dump is meant",
    ]
    pinned = f'[tool.haybale.database]\nfetch = ["curl", "-o", "{{file}}"]\nsha256 = "{"0" * 64}"\n'
    assert repository.examine_dump(load(tmp_path, pinned)).findings == ()
