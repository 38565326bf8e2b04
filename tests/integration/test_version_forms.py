"""Versions as repositories have them: bump-my-version's, bump2version's with other parts, and git's tags."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, cast

import pytest

from haybale import config
from haybale.checkout import read_checkout, read_version
from haybale.errors import ConfigError, HaybaleError, PrerequisiteError, ReleaseError, UsageError
from haybale.index.key import Component, Key
from haybale.pipeline import journal
from haybale.pipeline.context import Context
from haybale.release import bump
from haybale.release.publish import push_version
from haybale.release.remote import remote_versions
from haybale.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from haybale.images.store import ImageStore
    from tests.integration.conftest import Clone

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]

TOML = """\
[tool.bumpversion]
current_version = "1.4.2"
parse = "(?P<major>\\\\d+)\\\\.(?P<minor>\\\\d+)\\\\.(?P<patch>\\\\d+)"
tag_name = "{new_version}"
commit = true
tag = true

[[tool.bumpversion.files]]
filename = "VERSION"
"""


@pytest.fixture
def theirs(clone: Clone) -> Clone:
    """A repository whose versions bump-my-version makes; its tags have no v."""
    clone.git("rm", "-q", ".bumpversion.cfg")
    clone.commit("VERSION", "1.4.2\n")
    clone.commit(".bumpversion.toml", TOML)
    clone.git("tag", "-a", "-m", "theirs", "1.4.2")
    clone.git("push", "-q", "origin", "main", "1.4.2")
    return clone


@pytest.fixture
def tagged(clone: Clone) -> Clone:
    """A repository whose versions are nothing but tags."""
    clone.git("rm", "-q", ".bumpversion.cfg")
    clone.git("commit", "-q", "-m", "Begin")
    clone.git("push", "-q")
    return clone


def bumped(clone: Clone, *arguments: str) -> str:
    return str(bump.bump_version(clone.path, arguments, os.environ).version)


def test_bump_version_with_bump_my_version(theirs: Clone) -> None:
    before = theirs.state()
    assert bumped(theirs, "--dry-run") == "1.4.3"
    assert theirs.state() == before
    assert bumped(theirs, "minor") == "1.5.0"
    assert (theirs.path / "VERSION").read_text(encoding="utf-8") == "1.5.0\n"
    assert theirs.git("cat-file", "-t", "1.5.0") == "tag"
    assert theirs.git("describe", "--exact-match") == "1.5.0"
    assert str(read_version(theirs.path, {})) == "1.5.0"
    assert bumped(theirs, "patch", "--new-version", "3.0.0") == "3.0.0"


def test_bump_version_with_bump_my_version_in_pyproject(theirs: Clone) -> None:
    theirs.git("rm", "-q", ".bumpversion.toml")
    parse = r"(?P<major>\\d+)\\.(?P<minor>\\d+)\\.(?P<patch>\\d+)(-r(?P<build>\\d+))?"
    serialize = '["{major}.{minor}.{patch}-r{build}", "{major}.{minor}.{patch}"]'
    theirs.commit(
        "pyproject.toml",
        '[project]\nname = "a"\nversion = "1.4.2"\n[tool.bumpversion]\n'
        f'parse = "{parse}"\nserialize = {serialize}\ncommit = true\ntag = true\n',
    )
    assert bumped(theirs) == "v1.4.2-r1"
    assert 'version = "1.4.2-r1"' in (theirs.path / "pyproject.toml").read_text(encoding="utf-8")


def spoil_hook(clone: Clone) -> None:
    hook = clone.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2; exit 1\n", encoding="utf-8")
    hook.chmod(0o755)


def remove_named_file(clone: Clone) -> None:
    clone.git("rm", "-q", "VERSION")
    clone.git("commit", "-q", "-m", "Remove it")


def write(old: str, new: str) -> Callable[[Clone], None]:
    def spoil(clone: Clone) -> None:
        assert old in TOML
        clone.commit(".bumpversion.toml", TOML.replace(old, new))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (spoil_hook, ReleaseError, ("failed to make 1.4.3; nothing was changed", "not today")),
        (remove_named_file, ConfigError, (".bumpversion.toml:9: there is no VERSION", "writes the new")),
        (
            lambda clone: clone.commit("VERSION", "9\n"),
            ReleaseError,
            ("failed to make 1.4.3", "Did not find '1.4.2'"),
        ),
        (lambda clone: clone.git("tag", "1.4.3"), ReleaseError, ("1.4.3 exists here", "says 1.4.2")),
        (write("tag = true\n", ""), ConfigError, (".bumpversion.toml:1: tag is not set", "makes no tag")),
        (write('"{new_', '"site-{new_'), ConfigError, (":4: tag_name is 'site-", "finds a version")),
        (write("tag = true", 'moveable_tags = ["v{new_major}"]\ntag = true'), ConfigError, (":6: ", "moves")),
    ],
)
def test_bump_version_with_bump_my_version_refusals_change_nothing(
    theirs: Clone, spoil: Callable[[Clone], object], kind: type[HaybaleError], words: tuple[str, str]
) -> None:
    spoil(theirs)
    before = theirs.state()
    with pytest.raises(kind) as told:
        bumped(theirs)
    message, cause = words
    assert message in told.value.message
    assert cause in told.value.cause
    assert not re.search("Traceback|│", told.value.message + told.value.cause)
    assert theirs.state() == before


def test_make_release_tree_with_bump_my_version(theirs: Clone, tmp_path: Path) -> None:
    """It has no part `build`, which a direct push would bump."""
    spoil_hook(theirs)
    before = theirs.state()
    made = bump.make_release_tree(theirs.path, "build", tmp_path / "tree", os.environ)
    assert str(made.version) == "1.4.3"
    assert (tmp_path / "tree/VERSION").read_text(encoding="utf-8") == "1.4.3\n"
    assert theirs.state() == before
    done = push_version(theirs.path, made, "origin", "main", ["record: {}"])
    assert str(done.version) == "1.4.3"
    assert remote_versions(theirs.path, "origin").keys() == {"1.4.2", "1.4.3"}


def test_bump_version_with_bump2version_without_builds(clone: Clone) -> None:
    clone.commit(".bumpversion.cfg", "[bumpversion]\ncurrent_version = 2.0.0\ncommit = True\ntag = True\n")
    assert [bumped(clone), bumped(clone, "minor")] == ["v2.0.1", "v2.1.0"]
    with pytest.raises(UsageError, match="'build' is no part") as told:
        bumped(clone, "build")
    assert "major, minor, patch" in told.value.cause


def test_bump_version_names_missing_files_of_bump2version(clone: Clone) -> None:
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8").rstrip()
    line = len(text.splitlines()) + 2
    clone.commit(".bumpversion.cfg", f"{text}\n\n[bumpversion:file:docker-compose.ci.yml]\n")
    for arguments in ((), ("--dry-run",)):
        with pytest.raises(ConfigError) as told:
            bumped(clone, *arguments)
        assert f".bumpversion.cfg:{line}: there is no docker-compose.ci.yml" in told.value.message


def test_bump_version_by_tags_alone(tagged: Clone) -> None:
    assert str(read_version(tagged.path, {"prNum": "7"})) == "v0.0.0-7"
    head = tagged.git("rev-parse", "HEAD")
    before = tagged.state()
    assert bumped(tagged, "minor", "--dry-run") == "v0.1.0"
    assert tagged.state() == before
    assert [bumped(tagged, part) for part in ("minor", "build")] == ["v0.1.0", "v0.1.0-r1"]
    assert tagged.git("rev-parse", "HEAD") == head
    assert tagged.git("cat-file", "-t", "v0.1.0-r1") == "tag"
    assert str(read_version(tagged.path, {})) == "v0.1.0-r1"


def test_bump_version_by_tags_keeps_their_form(tagged: Clone) -> None:
    """And goes by those that the branch has: another branch's version is not this one's."""
    tagged.git("tag", "1.9.0")
    tagged.git("tag", "2024-01-01")
    tagged.git("checkout", "-q", "-b", "other")
    tagged.commit("later")
    tagged.git("tag", "2.0.0")
    tagged.git("checkout", "-q", "main")
    assert bumped(tagged, "patch") == "1.9.1"
    with pytest.raises(ReleaseError, match=r"2\.0\.0 exists here already") as told:
        bumped(tagged, "major")
    assert "1.9.1 is the last here" in told.value.cause


def test_bump_version_by_tags_refuses_a_tool_s_options(tagged: Clone) -> None:
    with pytest.raises(UsageError, match="--list is not available here"):
        bumped(tagged, "patch", "--list")


def test_read_version_by_tags_does_not_guess_in_a_shallow_clone(tagged: Clone) -> None:
    tagged.git("tag", "v3.0.0")
    tagged.commit("more")
    tagged.git("push", "-q", "origin", "main", "v3.0.0")
    shallow = tagged.another("shallow", "--depth=1")
    with pytest.raises(ConfigError, match="not known which version") as told:
        read_version(shallow.path, {})
    assert "git fetch --unshallow --tags" in told.value.hint
    shallow.git("fetch", "-q", "--unshallow", "--tags")
    assert str(read_version(shallow.path, {})) == "v3.0.0"


def test_make_release_tree_by_tags_publishes_the_commit_itself(tagged: Clone, tmp_path: Path) -> None:
    tagged.git("tag", "v0.3.0")
    head, before = tagged.commit("more"), tagged.state()
    tagged.git("push", "-q", "origin", "main", "v0.3.0")
    made = bump.make_release_tree(tagged.path, "patch", tmp_path / "tree", os.environ)
    assert (str(made.version), made.commit, made.base) == ("v0.3.1", head, head)
    assert bump.read_release_tree(tmp_path / "tree") == made
    assert tagged.state()[1:] == before[1:]
    done = push_version(tagged.path, made, "origin", "main", ["record: {}"])
    assert done.notes == ()
    found = remote_versions(tagged.path, "origin")
    assert found["v0.3.1"].commit == head
    assert tagged.remote_refs()["refs/heads/main"] == head
    # Who comes second with the same version loses, and nothing of theirs is there.
    again = tagged.another("again")
    again.commit("else")
    again.git("push", "-q")
    again.git("tag", "-d", "v0.3.1")
    late = bump.make_release_tree(again.path, "patch", tmp_path / "late", os.environ)
    with pytest.raises(ReleaseError, match=r"published v0\.3\.1 first"):
        push_version(again.path, late, "origin", "main", ["record: {}"])


def test_context_with_result_has_the_version_before_its_tag(tagged: Clone, tmp_path: Path) -> None:
    """Images are named by it, and where versions are git's tags nothing else has it yet."""
    tagged.commit("pyproject.toml", '[tool.haybale]\nname = "site"\nregistry = "r.example/site"\n')
    tagged.git("tag", "v0.3.0")
    project = config.load(tagged.path, {})
    checkout = read_checkout(project, {})
    with journal.begin_run(project.scratch / "runs") as run:
        context = Context(
            checkout=checkout, built=checkout, store=cast("ImageStore", None), env={}, run=run,
            key=Key.from_components([Component(name="dump", digest="0" * 64)]),
            terminal=Terminal(), push_index=False,
        )  # fmt: skip
        made = bump.make_release_tree(tagged.path, "patch", tmp_path / "tree", os.environ)
        built = context.with_result(made).built
    assert str(checkout.stage_image("release")) == "r.example/site:v0.3.0"
    assert str(built.stage_image("release")) == "r.example/site:v0.3.1"
    assert built.revision == tagged.git("rev-parse", "HEAD")


def test_raise_if_no_tool_tells_what_would_stop_a_version(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    bump.raise_if_no_tool(clone.path, os.environ)
    with pytest.raises(PrerequisiteError, match="HAYBALE_BUMP2VERSION is /no/where, which cannot be run"):
        bump.raise_if_no_tool(clone.path, {"HAYBALE_BUMP2VERSION": "/no/where"})
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    clone.commit(".bumpversion.cfg", f"{text}\n[bumpversion:file:gone.py]\n")
    with pytest.raises(ConfigError, match=r"there is no gone\.py"):
        bump.raise_if_no_tool(clone.path, os.environ)
    clone.commit(".bumpversion.cfg", text.replace("v{new", "release-{new"))
    with pytest.raises(ConfigError, match="tag_name is 'release-"):
        bump.raise_if_no_tool(clone.path, os.environ)
    clone.git("rm", "-q", ".bumpversion.cfg")
    monkeypatch.setenv("PATH", "/no/where")
    bump.raise_if_no_tool(clone.path, {})
