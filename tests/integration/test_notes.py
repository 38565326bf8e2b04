"""Release notes of a real repository."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.commands.release import notes_markdown
from haybale.errors import UsageError
from haybale.image_ref import ImageRef
from haybale.release.notes import UNRELEASED, IndexChange, ReleaseNotes, collect_notes
from haybale.release.record import ReleaseRecord
from haybale.tools import git

if TYPE_CHECKING:
    from tests.integration.conftest import Clone

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]

IMAGE = ImageRef.parse(f"r/hay@sha256:{'1' * 64}")
RECORD = ReleaseRecord(
    version="v0.5.0", commit="a" * 40, site=IMAGE, index=IMAGE, key="1" * 32,
    components={"dump": "1", "solr-conf": "1"}, dump="d", bases={}, counts={"app.note": 3}, tests={},
)  # fmt: skip


@pytest.fixture
def project(clone: Clone) -> config.Project:
    text = '[tool.haybale]\nname = "hay"\nregistry = "registry.example/hay"\ncore = "hay"\n'
    clone.commit("pyproject.toml", text)
    return config.load(clone.path, {})


def release(clone: Clone, version: str, record: ReleaseRecord | None = RECORD) -> None:
    """Make a version's commit and tag, as the pipeline does."""
    made = clone.commit(".version", version, f"Release {version}")
    lines = [f"Release {version}", "", *([replace(record, version=version).tag_line] if record else [])]
    git.update_ref(
        clone.path, f"refs/tags/{version}", git.create_tag_object(clone.path, version, made, "\n".join(lines))
    )


def subjects(found: ReleaseNotes) -> list[str]:
    return [each.subject for each in found.commits]


def test_collect_notes_by_tags_alone_have_the_commit_of_a_version(
    clone: Clone, project: config.Project
) -> None:
    """It is somebody's change there, and not one that a tool made."""
    clone.git("rm", "-q", ".bumpversion.cfg")
    clone.git("commit", "-q", "-m", "Go by tags")
    clone.git("tag", "1.0.0")
    clone.commit("a", message="Add a")
    clone.commit("b", message="Add b")
    clone.git("tag", "1.0.1")
    found = collect_notes(project, None, None)
    assert (found.before, found.version, found.index.rebuilt) == ("1.0.0", "1.0.1", None)
    assert subjects(found) == ["Add b", "Add a"]


def test_collect_notes_against_previous_version(clone: Clone, project: config.Project) -> None:
    release(clone, "v0.5.0")
    clone.commit("a", message="Add a")
    clone.commit("b", message="Add b")
    release(
        clone, "v0.10.0", replace(RECORD, components={"dump": "1", "solr-conf": "2"}, counts={"app.note": 4})
    )
    found = collect_notes(project, None, None)
    assert (found.before, found.version) == ("v0.5.0", "v0.10.0")
    # Neither the version's own commit nor those of the version before.
    assert subjects(found) == ["Add b", "Add a"]
    assert found.index == IndexChange(rebuilt=True, changed=("solr-conf",), counts={"app.note": (3, 4)})


def test_collect_notes_over_versions_between(clone: Clone, project: config.Project) -> None:
    for version in ("v0.5.0", "v0.5.0-r1", "v0.5.0-r2", "v0.6.0"):
        clone.commit(version, message=f"Before {version}")
        release(clone, version)
    found = collect_notes(project, "v0.5.0", "v0.6.0")
    assert subjects(found) == ["Before v0.6.0", "Before v0.5.0-r2", "Before v0.5.0-r1"]
    assert found.index.rebuilt is False
    assert collect_notes(project, None, "v0.6.0").before == "v0.5.0-r2"
    assert collect_notes(project, None, "v0.5.0").before is None


def test_collect_notes_without_merges(clone: Clone, project: config.Project) -> None:
    release(clone, "v0.5.0")
    clone.git("checkout", "-q", "-b", "work")
    clone.commit("a", message="Add a")
    clone.git("checkout", "-q", "main")
    clone.git("merge", "-q", "--no-ff", "-m", "Merge work", "work")
    release(clone, "v0.6.0")
    assert subjects(collect_notes(project, None, "v0.6.0")) == ["Add a"]


def test_collect_notes_ignores_other_branches(clone: Clone, project: config.Project) -> None:
    release(clone, "v0.5.0")
    clone.git("checkout", "-q", "-b", "old")
    release(clone, "v0.5.9")
    clone.git("checkout", "-q", "main")
    release(clone, "v0.6.0")
    assert collect_notes(project, None, "v0.6.0").before == "v0.5.0"


def test_collect_notes_without_record(clone: Clone, project: config.Project) -> None:
    release(clone, "v0.5.0", None)
    release(clone, "v0.6.0")
    assert collect_notes(project, None, "v0.6.0").index.rebuilt is None
    assert "Not known" in notes_markdown(collect_notes(project, None, None))


def test_collect_notes_unreleased(clone: Clone, project: config.Project) -> None:
    release(clone, "v0.5.0", None)
    clone.commit("a", message="Add a")
    found = collect_notes(project, None, None)
    assert (found.before, found.version, subjects(found)) == ("v0.5.0", UNRELEASED, ["Add a"])


@pytest.mark.parametrize("name", ["v9.9.9", "main", "-x", "HEAD~1"])
def test_collect_notes_unknown_version(clone: Clone, project: config.Project, name: str) -> None:
    release(clone, "v0.5.0")
    with pytest.raises(UsageError) as told:
        collect_notes(project, name, "v0.5.0")
    assert "v0.5.0" in told.value.cause
