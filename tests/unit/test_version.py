from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.checkout import read_version
from haybale.errors import ConfigError
from haybale.version import Version, find_version_file, is_version

if TYPE_CHECKING:
    from pathlib import Path


def cfg(folder: Path, text: str, name: str = ".bumpversion.cfg") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("current", "env", "shown"),
    [
        ("0.4.11", {}, "v0.4.11"),
        ("0.4.11-r1", {}, "v0.4.11-r1"),
        ("10.20.30", {"prNum": ""}, "v10.20.30"),
        ("0.4.11", {"prNum": "123"}, "v0.4.11-123"),
        ("0.4.11-r2", {"prNum": "123"}, "v0.4.11-r2-123"),
    ],
)
def test_read_version_gives_the_version_with_the_pull_request(
    tmp_path: Path, current: str, env: dict[str, str], shown: str
) -> None:
    assert str(read_version(cfg(tmp_path, f"[bumpversion]\ncurrent_version = {current}\n"), env)) == shown


@pytest.mark.parametrize("shown", ["v0.0.0", "v0.4.11", "v12.0.3-r1", "v1.2.3-r40"])
def test_version_parse_reads_what_str_gives(shown: str) -> None:
    assert str(Version.parse(shown)) == shown
    assert Version.parse(shown.removeprefix("v")) == Version.parse(shown)
    assert str(Version.parse(shown.removeprefix("v"))) == shown.removeprefix("v")


@pytest.mark.parametrize(
    "text", ["", "v", "1.2", "1.2.3.4", "1.2.3-r0", "1.2.3-r", "01.2.3", "1.2.3-5", "1.2.٣"]
)
def test_version_parse_refuses_what_is_not_a_version(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        Version.parse(text)


def test_read_version_reads_setup_cfg_only_without_the_first_file(tmp_path: Path) -> None:
    """As bump2version has it: only where the first file does not exist."""
    cfg(tmp_path, "[metadata]\nname = a\n[bumpversion]\ncurrent_version = 1.2.3\n", "setup.cfg")
    assert str(read_version(tmp_path, {})) == "v1.2.3"
    cfg(tmp_path, "[bumpversion]\ncurrent_version = 2.0.0\n")
    assert str(read_version(tmp_path, {})) == "v2.0.0"
    cfg(tmp_path, "[bumpversion]\ncommit = True\n")
    with pytest.raises(ConfigError, match="no current_version"):
        read_version(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[bumpversion]\ncommit = True\n", "no current_version"),
        ("[bumpversion]\n\ncurrent_version = 1.2\n", r"\.bumpversion\.cfg:3: current_version is '1\.2'"),
        ("[bumpversion]\ncurrent_version = 1.2.3-rc1\n", r":2: current_version is '1\.2\.3-rc1'"),
        ("[bumpversion]\ncurrent_version = v1.2.3\n", r":2: current_version is 'v1\.2\.3'"),
        ("[other]\ncurrent_version = 1\n[bumpversion]\nCurrent_Version: 1\n", r":4: current_version is '1'"),
        ("[bumpversion]\ncurrent_version = 1.2.3\n||||||| base\n", ":3: a conflict marker"),
        ("[bumpversion]\r\ncurrent_version = 1.2.3\r\n=======\r\n", ":3: a conflict marker"),
        ("[bumpversion]\ncurrent_version = 1.2.3\nwhat\n", ":3: cannot be read"),
        ("[bumpversion]\n<<<<<<< HEAD\ncurrent_version = 1.2.3\n", ":2: a conflict marker"),
        ("[bumpversion]\ncurrent_version = 1.2.3\ncurrent_version = 1.2.4\n", ":3: "),
        ("[bumpversion]\ncurrent_version = 1.2.3\n[bumpversion]\n", ":3: "),
        ("current_version = 1.2.3\n", ":1: "),
    ],
)
def test_read_version_names_the_line_of_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_version(cfg(tmp_path, text), {})


def test_find_version_file_finds_none_among_files_of_other_purposes(tmp_path: Path) -> None:
    assert find_version_file(tmp_path) is None
    cfg(tmp_path, "[metadata]\nname = a\nnote = bumpversion\n", "setup.cfg")
    cfg(tmp_path, '[tool.haybale]\nname = "bumpversion"\n', "pyproject.toml")
    assert find_version_file(tmp_path) is None


def test_find_version_file_says_what_to_write_where_it_has_no_version(tmp_path: Path) -> None:
    for text, name, line in (
        ("[bumpversion]\ncommit = True\n", ".bumpversion.cfg", "current_version = 0.1.0 below"),
        ("[tool.bumpversion]\ncommit = true\n", ".bumpversion.toml", 'current_version = "0.1.0" below'),
    ):
        with pytest.raises(ConfigError, match=rf"{name}:1: no current_version") as told:
            find_version_file(cfg(tmp_path, text, name))
        assert line in told.value.hint
        (tmp_path / name).unlink()


TOML = """\
[tool.bumpversion]
current_version = "1.2.3"
parse = "(?P<major>\\\\d+)\\\\.(?P<minor>\\\\d+)\\\\.(?P<patch>\\\\d+)"
tag_name = "{new_version}"
commit = true

[[tool.bumpversion.files]]
filename = "VERSION"

[[tool.bumpversion.files]]
glob = "charts/*/Chart.yaml"
ignore_missing_file = true
"""


@pytest.mark.parametrize("name", [".bumpversion.toml", "pyproject.toml"])
def test_find_version_file_reads_bump_my_version_s_tables(tmp_path: Path, name: str) -> None:
    found = find_version_file(cfg(tmp_path, TOML, name))
    assert found
    assert (found.path.name, found.tool, str(found.version)) == (name, "bump-my-version", "1.2.3")
    assert (found.parts, found.line("commit"), found.line("tag")) == (("major", "minor", "patch"), 5, 1)
    assert [(each.path, each.line, each.is_glob, each.may_be_missing) for each in found.files] == [
        ("VERSION", 8, False, False),
        ("charts/*/Chart.yaml", 11, True, True),
    ]


def test_find_version_file_takes_the_project_s_version_as_bump_my_version_does(tmp_path: Path) -> None:
    text = '[project]\nname = "a"\nversion = "2.0.1"\n[tool.bumpversion]\ntag = true\n'
    found = find_version_file(cfg(tmp_path, text, "pyproject.toml"))
    assert found
    assert str(found.version) == "v2.0.1"


def test_find_version_file_reads_sections_of_files_with_their_lines(tmp_path: Path) -> None:
    text = (
        "[bumpversion]\ncurrent_version = 1.2.3\n\n[bumpversion:file:a b.yml]\n\n"
        "[bumpversion:file(chart):c.yml]\nsearch = x\n[bumpversion:glob:*.md]\n"
    )
    found = find_version_file(cfg(tmp_path, text))
    assert found
    assert found.parts == ("major", "minor", "patch")
    assert [(each.path, each.line, each.is_glob) for each in found.files] == [
        ("a b.yml", 4, False), ("c.yml", 6, False), ("*.md", 8, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[tool.bumpversion]\n\ncurrent_version = "1.2"\n', r"\.toml:3: current_version is '1\.2'"),
        ('[tool.bumpversion]\ncurrent_version = "1.2.3"\nparse = "("\n', r"\.toml:3: parse: "),
        ('[tool.bumpversion]\n<<<<<<< HEAD\ncurrent_version = "1.2.3"\n', ":2: a conflict marker"),
        ("[tool.bumpversion\n", r"\.bumpversion\.toml: .*line 1"),
    ],
)
def test_find_version_file_names_the_line_of_what_is_wrong_in_toml(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        find_version_file(cfg(tmp_path, text, ".bumpversion.toml"))


@pytest.mark.parametrize(
    ("version", "part", "after"),
    [
        ("v1.2.3", "build", "v1.2.3-r1"),
        ("v1.2.3-r1", "build", "v1.2.3-r2"),
        ("1.2.3-r1", "patch", "1.2.4"),
        ("v1.2.3-r1", "minor", "v1.3.0"),
        ("1.2.3", "major", "2.0.0"),
    ],
)
def test_version_next_keeps_the_prefix(version: str, part: str, after: str) -> None:
    assert str(Version.parse(version).next(part)) == after


def test_is_version_takes_tags_with_and_without_v() -> None:
    tags = ("v1.2.3", "1.2.3", "1.2.3-r2", "V1.2.3", "v1.2.3-rc1", "dev/deploy", "v1.2", "20240101")
    assert [tag for tag in tags if is_version(tag)] == ["v1.2.3", "1.2.3", "1.2.3-r2"]


def test_read_version_names_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / ".bumpversion.cfg").write_bytes("[bumpversion]\n# für\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"\.bumpversion\.cfg is not UTF-8"):
        read_version(tmp_path, {})


def test_read_version_keeps_a_pull_request_s_number_up_to_the_longest_tag(tmp_path: Path) -> None:
    cfg(tmp_path, "[bumpversion]\ncurrent_version = 1.2.3\n")
    longest = "x" * (128 - len("v1.2.3-"))
    assert str(read_version(tmp_path, {"prNum": longest})) == f"v1.2.3-{longest}"
    with pytest.raises(ConfigError, match="prNum"):
        read_version(tmp_path, {"prNum": longest + "x"})


@pytest.mark.parametrize("number", ["feature/x", "a b", " 12", "12\n", "ü", "r1"])
def test_read_version_refuses_a_pull_request_that_cannot_be_in_a_tag(tmp_path: Path, number: str) -> None:
    with pytest.raises(ConfigError, match="prNum"):
        read_version(cfg(tmp_path, "[bumpversion]\ncurrent_version = 1.2.3\n"), {"prNum": number})
