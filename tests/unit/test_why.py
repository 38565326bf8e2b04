"""What differs between two index keys, and how that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.index import key_diff as why
from haybale.index.key import Component, Key, digest_parts
from haybale.index.key_diff import Change, FileChange, Other
from haybale.tools.git import CommitSummary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def made(**components: Mapping[str, str] | str) -> Key:
    """A key of components: a text is a value, a mapping files."""
    return Key.from_components(
        Component(name=name.replace("_", "-"), digest=digest_parts([name, what]), value=what)
        if isinstance(what, str)
        else Component(
            name=name.replace("_", "-"),
            digest=digest_parts([part for pair in sorted(what.items()) for part in pair]),
            files=what,
        )
        for name, what in components.items()
    )


ONE, TWO, THREE = ("1" * 16, "2" * 16, "3" * 16)
OLD = made(core="site", bases="python solr:9", solr_conf={"solr_conf/a": ONE, "solr_conf/b": ONE})
NEW = made(core="site", bases="python solr:10", solr_conf={"solr_conf/b": TWO, "solr_conf/c": THREE})


def test_what_differs_is_found_and_nothing_else() -> None:
    assert why.compare(OLD, NEW) == (
        Change(component="bases", before="python solr:9", after="python solr:10"),
        Change(
            component="solr-conf",
            files=(
                FileChange(path="solr_conf/a", kind="removed"),
                FileChange(path="solr_conf/b", kind="changed"),
                FileChange(path="solr_conf/c", kind="added"),
            ),
        ),
    )
    assert why.compare(OLD, OLD) == ()


def test_a_key_from_a_label_is_compared_by_its_short_digests() -> None:
    assert why.compare(Key.from_json(OLD.to_json()), OLD) == ()
    assert why.compare(Key.from_json(OLD.to_json()), NEW) == why.compare(OLD, NEW)


def test_components_come_and_go() -> None:
    assert [change.component for change in why.compare(made(core="a"), made(loader="b"))] == [
        "core",
        "loader",
    ]


def test_a_file_whose_content_is_at_another_path_now_was_renamed() -> None:
    old = made(solr_conf={"solr_conf/a": ONE, "solr_conf/same": THREE})
    new = made(solr_conf={"solr_conf/b": ONE, "solr_conf/same": THREE})
    (change,) = why.compare(Key.from_json(old.to_json()), new)
    assert change.files == (FileChange(path="solr_conf/b", kind="renamed", was="solr_conf/a"),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": ONE, "b": ONE}, {"c": ONE}, id="two went"),
        pytest.param({"a": ONE}, {"b": ONE, "c": ONE}, id="two came"),
        pytest.param({"a": ONE}, {"a": ONE, "b": ONE}, id="it is still there"),
        pytest.param({"a": ONE}, {"b": TWO}, id="other content"),
    ],
)
def test_what_is_not_evident_is_not_called_renamed(before: dict[str, str], after: dict[str, str]) -> None:
    (change,) = why.compare(made(extra=before), made(extra=after))
    kinds = {file.path: file.kind for file in change.files}
    assert kinds == {
        **dict.fromkeys(before.keys() - after.keys(), "removed"),
        **dict.fromkeys(after.keys() - before.keys(), "added"),
    }


def test_the_same_key_is_told_with_what_it_is_made_of() -> None:
    other = Other(key=OLD, source="the last index", revision="abcdef" * 6, day="2026-11-20")
    first, second, _, *parts = why.text(OLD, other, ()).splitlines()
    assert (first, second) == (
        f"index key {OLD}: the same as the last index, of",
        "  commit abcdefabcdef of 2026-11-20",
    )
    assert [line.split()[0] for line in parts] == ["bases", "core", "solr-conf"]
    assert parts[2].endswith("2 files")


def test_without_another_key_it_says_so() -> None:
    assert why.text(OLD, None, ()).startswith(f"index key {OLD}: nothing was indexed here yet\n")


TOUCH = CommitSummary(hash="a1b2c3d4e5f60718", date="2026-11-20", author="Ada", subject="Mend the schema")


def test_a_change_names_the_files_and_the_commit() -> None:
    changes = (
        Change(
            component="solr-conf",
            files=(
                FileChange(path="solr_conf/a", kind="changed", blame="commit", commit=TOUCH),
                FileChange(path="solr_conf/b", kind="renamed", was="a", blame="commit", commit=TOUCH),
                FileChange(path="solr_conf/c", kind="added", blame="uncommitted"),
                FileChange(path="solr_conf/d", kind="removed"),
            ),
        ),
        Change(component="bases", before="python solr:9", after="python solr:10"),
        Change(component="loader", before="1" * 64, after="2" * 64),
    )
    told = why.text(NEW, Other(key=OLD, source="reg:solr-1", revision="abc", dirty=True), changes)
    short = OLD.value[:12]
    assert told.splitlines() == [
        f"index key {NEW}: differs from {short}:",
        "  solr-conf, bases, loader",
        f"({short} is reg:solr-1, of commit abc and what was not committed)",
        "",
        "solr-conf",
        "  solr_conf/a (changed)",
        "  solr_conf/b (renamed from a)",
        "    a1b2c3d4e5f6 2026-11-20 Ada: Mend the schema",
        "  solr_conf/c (added)",
        "    not committed",
        "  solr_conf/d (removed)",
        "    by no commit that this clone has",
        "",
        "bases",
        "  was python solr:9",
        "  is  python solr:10",
        "",
        "loader",
        "  was 111111111111",
        "  is  222222222222",
    ]


def test_long_lines_are_broken_and_no_word_is() -> None:
    subject = "Let titles be searched without their accents, as people who write in a hurry leave them out"
    name = f"registry.example/team/{'site-' * 20}index:solr-1"
    touch = CommitSummary(hash="a1b2c3d4e5f60718", date="2026-11-20", author="Ada", subject=subject)
    file = FileChange(path="solr_conf/a", kind="changed", blame="elsewhere", commit=touch)
    change = Change(component="solr-conf", files=(file,))
    told = why.text(NEW, Other(key=OLD, source=name, revision=""), (change,))
    assert {line for line in told.splitlines() if len(line) > why.WIDTH} == {f"  {name})"}
    assert f"{subject} (which is not in the history of" in " ".join(told.split())


def test_the_document_is_what_the_documentation_says() -> None:
    changes = why.compare(OLD, NEW)
    document = why.document(NEW, Other(key=OLD, source="reg:solr-1", revision="abc"), changes)
    assert list(document) == [
        "version", "key", "other", "other_source", "other_revision", "other_dirty", "same", "components",
        "changes",
    ]  # fmt: skip
    assert (document["version"], document["key"], document["other"]) == (1, NEW.value, OLD.value)
    assert document["same"] is False
    assert document["changes"][1]["files"][0] == {
        "path": "solr_conf/a", "kind": "removed", "was": "", "blame": "unknown", "commit": None,
    }  # fmt: skip
    assert why.document(NEW, None, ())["other"] is None
    assert why.document(NEW, Other(key=NEW, source="x", revision=""), ())["same"] is True


@pytest.fixture
def project(tmp_path: Path) -> config.Project:
    settings = config.Settings(name="site", registry="r.example/site", core="site")
    return config.Project(root=tmp_path, settings=settings)


def test_what_was_indexed_last_is_remembered(project: config.Project) -> None:
    assert why.noted(project) is None
    why.remember(project, OLD, "abc-dirty")
    why.remember(project, NEW, "def-dirty")
    found = why.noted(project)
    assert found is not None
    assert (found.key.value, found.revision, found.dirty) == (NEW.value, "def", True)
    assert [file.name for file in project.scratch.iterdir()] == ["indexed.json"]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"key": "x", "revision": "y"}'])
def test_a_damaged_note_is_none(project: config.Project, text: str) -> None:
    project.scratch.mkdir()
    (project.scratch / "indexed.json").write_text(text, encoding="utf-8")
    assert why.noted(project) is None
