from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.errors import ConfigError
from haybale.images import refs
from haybale.release import version

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
def test_the_version_as_it_is_shown(tmp_path: Path, current: str, env: dict[str, str], shown: str) -> None:
    assert str(version.read(cfg(tmp_path, f"[bumpversion]\ncurrent_version = {current}\n"), env)) == shown


def test_setup_cfg_is_the_second_place(tmp_path: Path) -> None:
    cfg(tmp_path, "[metadata]\nname = a\n[bumpversion]\ncurrent_version = 1.2.3\n", "setup.cfg")
    assert str(version.read(tmp_path, {})) == "v1.2.3"
    cfg(tmp_path, "[bumpversion]\ncurrent_version = 2.0.0\n")
    assert str(version.read(tmp_path, {})) == "v2.0.0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[bumpversion]\ncommit = True\n", "no current_version"),
        ("[bumpversion]\n\ncurrent_version = 1.2\n", r"\.bumpversion\.cfg:3: current_version is '1\.2'"),
        ("[bumpversion]\ncurrent_version = 1.2.3-rc1\n", r":2: current_version is '1\.2\.3-rc1'"),
        ("[bumpversion]\n<<<<<<< HEAD\ncurrent_version = 1.2.3\n", ":2: a conflict marker"),
        ("[bumpversion]\ncurrent_version = 1.2.3\ncurrent_version = 1.2.4\n", ":3: "),
        ("[bumpversion]\ncurrent_version = 1.2.3\n[bumpversion]\n", ":3: "),
        ("current_version = 1.2.3\n", ":1: "),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        version.read(cfg(tmp_path, text), {})


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no current_version") as told:
        version.read(tmp_path, {})
    assert ".bumpversion.cfg" in told.value.step


@pytest.mark.parametrize("number", ["feature/x", "a b", "ü", "x" * 65])
def test_a_pull_request_that_can_t_be_a_tag_names_its_variable(tmp_path: Path, number: str) -> None:
    with pytest.raises(ConfigError, match="prNum"):
        version.read(cfg(tmp_path, "[bumpversion]\ncurrent_version = 1.2.3\n"), {"prNum": number})


def test_images_are_named_by_registry_version_and_layer() -> None:
    assert refs.tag("localhost:5000/site", "v1.2.3") == "localhost:5000/site:v1.2.3"
    assert refs.step_tag("r/site", "v1.2.3", "release") == "r/site:v1.2.3"
    assert refs.step_tag("r/site", "v1.2.3", "solr") == "r/site:v1.2.3-solr"


def test_every_layer_reads_the_last_release_s_cache_and_writes_its_own() -> None:
    assert refs.cache("r/site", "release") == ("r/site:last",)
    assert refs.cache("r/site", "tester") == ("r/site:last", "r/site:last-tester")


@pytest.mark.parametrize("bad", ["", "-a", ".a", "a/b", "a:b", "a b", "a" * 129])
def test_what_can_t_be_a_tag_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="can't be an image tag"):
        refs.tag("r/site", bad)
