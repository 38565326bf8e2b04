"""What differs between two index keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.index.key import Component, Key, digest_parts
from haybale.index.key_diff import (
    Baseline,
    ComponentChange,
    Explanation,
    FileChange,
    compare_keys,
    noted_baseline,
    remember_key,
)

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


def test_compare_keys_finds_what_differs_and_nothing_else() -> None:
    assert compare_keys(OLD, NEW) == (
        ComponentChange(component="bases", before="python solr:9", after="python solr:10"),
        ComponentChange(
            component="solr-conf",
            files=(
                FileChange(path="solr_conf/a", kind="removed"),
                FileChange(path="solr_conf/b", kind="changed"),
                FileChange(path="solr_conf/c", kind="added"),
            ),
        ),
    )
    assert compare_keys(OLD, OLD) == ()


def test_compare_keys_takes_a_key_from_a_label() -> None:
    assert compare_keys(Key.from_json(OLD.to_json()), OLD) == ()
    assert compare_keys(Key.from_json(OLD.to_json()), NEW) == compare_keys(OLD, NEW)


def test_compare_keys_finds_added_and_removed_components() -> None:
    assert [change.component for change in compare_keys(made(core="a"), made(loader="b"))] == [
        "core",
        "loader",
    ]


def test_compare_keys_finds_a_renamed_file() -> None:
    old = made(solr_conf={"solr_conf/a": ONE, "solr_conf/same": THREE})
    new = made(solr_conf={"solr_conf/b": ONE, "solr_conf/same": THREE})
    (change,) = compare_keys(Key.from_json(old.to_json()), new)
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
def test_compare_keys_guesses_no_renames(before: dict[str, str], after: dict[str, str]) -> None:
    (change,) = compare_keys(made(extra=before), made(extra=after))
    kinds = {file.path: file.kind for file in change.files}
    assert kinds == {
        **dict.fromkeys(before.keys() - after.keys(), "removed"),
        **dict.fromkeys(after.keys() - before.keys(), "added"),
    }


def test_explanation_to_dict_is_what_the_documentation_says() -> None:
    baseline = Baseline(key=OLD, source="reg:solr-1", commit="abc")
    document = Explanation(key=NEW, baseline=baseline, changes=compare_keys(OLD, NEW)).to_dict()
    assert list(document) == [
        "version", "key", "other", "other_source", "other_revision", "other_dirty", "same", "components",
        "changes",
    ]  # fmt: skip
    assert (document["version"], document["key"], document["other"]) == (1, NEW.value, OLD.value)
    assert document["same"] is False
    assert document["changes"][1]["files"][0] == {
        "path": "solr_conf/a", "kind": "removed", "was": "", "blame": "unknown", "commit": None,
    }  # fmt: skip
    assert Explanation(key=NEW, baseline=None).to_dict()["other"] is None
    assert Explanation(key=NEW, baseline=Baseline(key=NEW, source="x")).to_dict()["same"] is True


@pytest.fixture
def project(tmp_path: Path) -> config.Project:
    settings = config.Settings(name="site", registry="r.example/site", core="site")
    return config.Project(root=tmp_path, settings=settings)


def test_remember_key_replaces_the_note(project: config.Project) -> None:
    assert noted_baseline(project) is None
    remember_key(project, OLD, "abc-dirty")
    remember_key(project, NEW, "def-dirty")
    found = noted_baseline(project)
    assert found is not None
    assert (found.key.value, found.commit, found.is_dirty) == (NEW.value, "def", True)
    assert [file.name for file in project.scratch.iterdir()] == ["indexed.json"]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"key": "x", "revision": "y"}'])
def test_noted_baseline_is_none_for_a_damaged_note(project: config.Project, text: str) -> None:
    project.scratch.mkdir()
    (project.scratch / "indexed.json").write_text(text, encoding="utf-8")
    assert noted_baseline(project) is None
