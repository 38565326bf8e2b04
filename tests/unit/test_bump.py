from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from haybale.errors import PrerequisiteError, UsageError
from haybale.release import bump, version_tools
from haybale.version import PARTS, find_version_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "part", "extra"),
    [
        ((), "build", ()),
        (("minor",), "minor", ()),
        (("--dry-run",), "build", ("--dry-run",)),
        (("patch", "--dry-run", "--verbose"), "patch", ("--dry-run", "--verbose")),
        (("patch", "--message", "a  b"), "patch", ("--message", "a  b")),
    ],
)
def test_parse_arguments_part_comes_first(
    arguments: tuple[str, ...], part: str, extra: tuple[str, ...]
) -> None:
    assert bump.parse_arguments(arguments) == (part, extra)


@pytest.mark.parametrize(
    ("parts", "part"),
    [
        (PARTS, "build"),
        (("major", "minor", "patch"), "patch"),
        (("major", "minor", "patch", "pre_l", "pre_n"), "patch"),
        (("year", "month", "number"), "number"),
    ],
)
def test_parse_arguments_default_part_is_one_that_versions_have(parts: tuple[str, ...], part: str) -> None:
    assert bump.parse_arguments((), parts) == (part, ())
    assert bump.parse_arguments(("--dry-run",), parts) == (part, ("--dry-run",))
    with pytest.raises(UsageError, match="stands before"):
        bump.parse_arguments(("--dry-run", "minor"), ("minor", *parts))


@pytest.mark.parametrize("arguments", [("micro",), ("",), ("--dry-run", "minor"), ("patch", "--tag-name=x")])
def test_parse_arguments_refuses_slips(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        bump.parse_arguments(arguments)


def test_parse_arguments_lists_parts() -> None:
    with pytest.raises(UsageError) as told:
        bump.parse_arguments(("micro",))
    assert "major, minor, patch, build" in told.value.cause


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", None),
        ("one\n<<<<<<< HEAD\n=======\n>>>>>>> x\n", 2),
        ("one\r\n=======\r\ntwo\r\n>>>>>>> x\r\n", 2),
        ("||||||| base\n", 1),
        ("Heading\n=======\n", None),
        ("a <<<<<<< b\n", None),
        ("<<<<<<<<<< ten\n", None),
    ],
)
def test_conflict_marker_line_ignores_headings(text: str, line: int | None) -> None:
    assert bump.conflict_marker_line(text) == line


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({}, None),
        ({"GITHUB_ACTOR": "ada"}, None),
        ({"GITLAB_USER_NAME": "Ada"}, None),
        ({"GITLAB_USER_NAME": "Ada", "GITLAB_USER_EMAIL": "a@x.org"}, ("Ada", "a@x.org")),
        (
            {"GITHUB_ACTOR": "x[bot]", "GITHUB_ACTOR_ID": "4", "GITHUB_SERVER_URL": "https://github.com"},
            ("x[bot]", "4+x[bot]@users.noreply.github.com"),
        ),
        (
            {
                "GITHUB_ACTOR": "ada",
                "GITHUB_SERVER_URL": "https://forge.example:3000/",
                "FORGEJO_ACTIONS": "true",
            },
            ("ada", "ada@noreply.forge.example"),
        ),
    ],
)
def test_read_ci_user(env: dict[str, str], found: tuple[str, str] | None) -> None:
    assert bump.read_ci_user(env) == found


def executable(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n", encoding="utf-8")
    file.chmod(0o755)
    return str(file)


def test_find_version_tool_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env/bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    (tmp_path / ".bumpversion.cfg").write_text("[bumpversion]\ncurrent_version = 1.2.3\n", encoding="utf-8")
    file = find_version_file(tmp_path)
    assert file

    def find(env: dict[str, str]) -> str:
        return version_tools.find_version_tool(file, env).program

    with pytest.raises(PrerequisiteError, match="there is no bump2version") as told:
        find({})
    assert "`haybale bump`" in told.value.hint
    on_path = executable(tmp_path / "path/bump2version")
    assert find({}) == on_path
    beside = executable(tmp_path / "env/bin/bump2version")
    assert find({}) == beside
    named = executable(tmp_path / "own/bumpversion")
    assert find({"HAYBALE_BUMP2VERSION": named}) == named
    with pytest.raises(PrerequisiteError, match="cannot be run"):
        find({"HAYBALE_BUMP2VERSION": str(tmp_path / "own")})
