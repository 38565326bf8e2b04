from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.errors import ConfigError
from haybale.version import Version, read_version

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


def test_read_version_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no current_version") as told:
        read_version(tmp_path, {})
    assert ".bumpversion.cfg" in told.value.hint


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
