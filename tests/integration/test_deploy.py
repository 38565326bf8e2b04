"""Deploying, with a real bare repository, a real git-over-HTTP server and a real registry."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import os
import random
import secrets
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from haybale import config
from haybale.checkout import read_checkout
from haybale.commands.deploy import change_lines
from haybale.deploy import prune
from haybale.deploy.status import read_status
from haybale.deploy.tags import (
    checked_out_version,
    deploy_ref,
    last_ref,
    plan_changes,
    plan_deployment,
    plan_rollback,
    push_deployment,
    read_environment_refs,
)
from haybale.errors import RegistryError, ReleaseError, UsageError
from haybale.image_ref import ImageRef
from haybale.images.build import BASE_DIGEST, REVISION
from haybale.index.image import COUNTS_LABEL
from haybale.index.key import KEY_LABEL, Component, Key
from haybale.release import publish, remote, verification
from haybale.release.record import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Release,
    ReleaseRecord,
    Suite,
    find_release,
    keep_record,
    read_kept_record,
)
from haybale.release.verification import Check, verify_release
from haybale.tools import git, process
from haybale.tools.engine import sdk
from haybale.tools.registry.client import Repository
from haybale.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from haybale.deploy.prune import UnusedImages
    from haybale.deploy.tags import DeploymentPlan
    from tests.integration.conftest import Clone, Registry

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine", "_alone")]

KEY = Key.from_components([Component(name="dump", digest="ab" * 32, value="cd" * 32)])
COUNTS = {"app.note": 12}

ENVIRONMENTS = '[tool.haybale.environments.dev]\n[tool.haybale.environments.prod]\nafter = "dev"\n'

# A registry's configuration without removal, as it is where nobody says otherwise.
KEEPS_ALL = b"""\
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}}
http:
  addr: ':5000'
"""

# Rounds of two who deploy at the same time.
ROUNDS = 100


@dataclass(frozen=True)
class Site:
    """A repository with its remote, whose versions' images are in a registry."""

    clone: Clone
    project: config.Project
    repository: Repository

    def release(self, version: str) -> ReleaseRecord:
        """Publish a version: commit, images, record, tag, as the pipeline does in the end."""
        commit = self.clone.commit(f"{version}.txt")
        self.clone.git("push", "-q", "origin", "main")
        name = self.repository.name
        index = {
            KEY_LABEL: KEY.to_json(), COUNTS_LABEL: json.dumps(COUNTS), BASE_DIGEST: "sha256:2",
        }  # fmt: skip
        made = ReleaseRecord(
            version=version, commit=commit,
            site=name.with_digest(self.image(version, {REVISION: commit, BASE_DIGEST: "sha256:1"})),
            index=name.with_digest(self.image(f"{version}-solr", index)),
            key=KEY.value, components={"dump": "ab" * 32}, dump="cd" * 32,
            bases={"site": "sha256:1", "index": "sha256:2"}, counts=COUNTS,
            tests={"site": Suite(tests=3, skipped=0)},
        )  # fmt: skip
        keep_record(self.project, made)
        self.tag(made)
        return made

    def tag(self, record: ReleaseRecord) -> None:
        """Give the remote a version's tag that carries this record, whatever it has now."""
        said = "\n".join(publish.tag_message_lines(Version.parse(record.version), [record.tag_line]))
        tag = git.create_tag_object(self.clone.path, record.version, record.commit, said)
        self.clone.git("push", "-q", "-f", "origin", f"{tag}:refs/tags/{record.version}")

    def image(self, tag: str, labels: dict[str, str]) -> str:
        """Put an image without any layer into the registry, unlike every other, and return its digest."""
        configuration = json.dumps(
            {"config": {"Labels": {**labels, "unlike": secrets.token_hex(8)}}}
        ).encode()
        digest = self.repository.put_blob(configuration)
        document = {
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest,
                "size": len(configuration),
            },
        }  # fmt: skip
        self.repository.put_manifest(tag, json.dumps(document).encode(), MANIFEST_TYPE)
        return str(self.repository.digest(tag))

    def deploy(self, environment: str, version: str | None = None) -> DeploymentPlan:
        version = version or checked_out_version(self.project, {})
        plan = plan_deployment(self.project, environment, version)
        push_deployment(self.project, plan)
        return plan

    def rollback(self, environment: str) -> DeploymentPlan:
        plan = plan_rollback(self.project, environment)
        push_deployment(self.project, plan)
        return plan

    def unused(self) -> UnusedImages:
        return prune.find_unused(read_checkout(self.project, {}), KEY)

    def prune(self, unused: UnusedImages) -> UnusedImages:
        return prune.remove_unused(read_checkout(self.project, {}), KEY, unused)

    def failed_checks(self) -> list[str]:
        return [check.name for check in verify_release(self.project, "v0.4.12") if not check.passed]

    def at(self, environment: str) -> tuple[str, str]:
        """The commits that the environment's tags lead to: now, and before."""
        refs = read_environment_refs(self.project, environment)
        return (
            refs.get(f"{deploy_ref(environment)}^{{}}", ""),
            refs.get(f"{last_ref(environment)}^{{}}", ""),
        )

    def deployed_commit(self, environment: str) -> str:
        """The commit that the environment's tag leads to, from the remote's own files."""
        ref = f"{deploy_ref(environment)}^{{commit}}"
        remote = ["git", "-C", str(self.clone.remote)]
        return subprocess.run(
            [*remote, "rev-parse", ref], capture_output=True, text=True, check=True
        ).stdout.strip()

    def pushes(self) -> list[list[tuple[str, str, str]]]:
        """What the remote was pushed, a list of (old, new, ref) each time."""
        log = self.clone.remote / "pushes"
        parts = log.read_text(encoding="utf-8").split("--\n") if log.is_file() else []
        return [[(*line.split(" "),) for line in part.splitlines()] for part in parts if part]  # type: ignore[misc]

    def forget(self) -> None:
        (self.clone.remote / "pushes").unlink(missing_ok=True)


@pytest.fixture
def site(clone: Clone, registry: str) -> Site:
    """A repository whose remote notes every push."""
    return site_on(clone, registry)


def site_on(clone: Clone, registry: str) -> Site:
    """Make that, with images in this registry."""
    hook = clone.remote / "hooks/post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n{ cat; echo --; } >> pushes\n", encoding="utf-8")
    hook.chmod(0o755)
    name = f"{registry}/site-{secrets.token_hex(4)}"
    clone.commit(
        "pyproject.toml", f'[tool.haybale]\nname = "site"\nregistry = "{name}"\ncore = "site"\n{ENVIRONMENTS}'
    )
    clone.git("push", "-q", "origin", "main")
    return Site(clone, config.load(clone.path, {}), Repository(ImageRef.parse(name)))


def _planned(site: Site, record: ReleaseRecord) -> DeploymentPlan:
    """What deploys a release, from what the remote has now; nobody asks whether the release holds."""
    release = Release(record=record, digest=record.digest, commit=record.commit)
    refs = read_environment_refs(site.project, "dev")
    return plan_changes(site.project, "dev", refs, release, record.commit)


def test_push_deployment_first_moves_one_tag(site: Site) -> None:
    first, second = site.release("v0.4.12"), site.release("v0.4.13")
    site.forget()
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    assert [sorted(ref for _, _, ref in push) for push in site.pushes()] == [
        ["refs/tags/dev/deploy"],
        ["refs/tags/dev/deploy", "refs/tags/last/dev/deploy"],
    ]
    assert site.at("dev") == (second.commit, first.commit)


def test_plan_deployment_already_deployed(site: Site) -> None:
    first, second = site.release("v0.4.12"), site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    site.forget()
    assert site.deploy("dev", "v0.4.13").changes == {}
    assert site.pushes() == []
    assert site.at("dev") == (second.commit, first.commit)


def test_plan_deployment_moves_nothing(site: Site) -> None:
    site.release("v0.4.12")
    site.forget()
    (line,) = change_lines(plan_deployment(site.project, "dev", "v0.4.12"))
    assert line.startswith("dev/deploy: nothing -> ")
    assert site.pushes() == []
    assert site.at("dev") == ("", "")


def test_plan_rollback_twice_is_round_trip(site: Site) -> None:
    first, second = site.release("v0.4.12"), site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    with pytest.raises(ReleaseError, match="there is nothing to roll dev back to"):
        site.rollback("dev")
    site.deploy("dev", "v0.4.13")
    assert site.rollback("dev").version == "v0.4.12"
    assert site.at("dev") == (first.commit, second.commit)
    assert site.rollback("dev").version == "v0.4.13"
    assert site.at("dev") == (second.commit, first.commit)


@pytest.mark.parametrize("part", ["site", "index"])
def test_plan_refuses_missing_image(site: Site, part: str) -> None:
    first = site.release("v0.4.12")
    site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    site.repository.delete(getattr(first, part).digest)
    site.forget()
    with pytest.raises(ReleaseError, match=rf"{part} image: there is no") as told:
        site.deploy("prod", "v0.4.12")
    assert "verify-release" in told.value.hint
    with pytest.raises(ReleaseError, match=r"dev cannot go back to v0\.4\.12") as refused:
        site.rollback("dev")
    assert "there is no" in refused.value.cause
    assert site.pushes() == []


def test_plan_deployment_after_other_environment(site: Site) -> None:
    site.release("v0.4.12")
    site.release("v0.4.13")
    with pytest.raises(ReleaseError, match=r"v0\.4\.12 was not in dev yet"):
        site.deploy("prod", "v0.4.12")
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    assert site.deploy("prod", "v0.4.12").version == "v0.4.12", "it was there once"


@pytest.mark.parametrize("name", ["-x", "a/b", "..", "stage", "HEAD", "x" * 300, "\N{SNOWMAN}", ""])
def test_raise_if_undeclared_before_git(site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(git, "run", lambda *_, **__: pytest.fail("git was asked"))
    with pytest.raises(UsageError, match="there is no environment") as told:
        plan_deployment(site.project, name, "v1.0.0")
    assert told.value.cause == "declared are: dev, prod"
    with pytest.raises(UsageError, match="there is no environment"):
        plan_rollback(site.project, name)


def test_plan_deployment_unpublished_version(site: Site) -> None:
    site.release("v0.4.12")
    with pytest.raises(ReleaseError, match=r"origin has no version v9\.9\.9") as told:
        site.deploy("dev", "v9.9.9")
    assert told.value.cause == "published are: v0.4.12"
    with pytest.raises(ReleaseError, match=r"v0\.4\.11, which is checked out, is not published"):
        site.deploy("dev")


def test_verify_release_finds_changes(site: Site) -> None:
    made = site.release("v0.4.12")
    assert all(check.passed for check in verify_release(site.project, "v0.4.12"))
    assert (
        find_release(site.project.root, "v0.4.12").record == made == read_kept_record(site.project, "v0.4.12")
    )
    site.image("v0.4.12", {})
    assert site.failed_checks() == ["site image"]
    keep_record(site.project, replace(made, dump="ef" * 32))
    assert site.failed_checks() == ["record", "site image"]
    site.clone.git("push", "-q", "-f", "origin", "HEAD^:refs/heads/main")
    assert site.failed_checks() == ["main", "record", "site image"]


def test_keep_record_lists_referrer(site: Site) -> None:
    made = site.release("v0.4.12")
    listed = site.repository.manifest(str(made.site.digest).replace(":", "-"))
    assert listed is not None
    (own,) = listed.document["manifests"]
    assert own["artifactType"] == "application/vnd.haybale.release.v1+json"
    assert own["digest"] == site.repository.digest("v0.4.12-record")
    before = listed.digest
    keep_record(site.project, made)
    again = site.repository.manifest(str(made.site.digest).replace(":", "-"))
    assert again is not None
    assert again.digest == before


def test_read_status_and_drift(site: Site) -> None:
    first, second = site.release("v0.4.12"), site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    site.deploy("prod", "v0.4.12")
    dev, prod = read_status(site.project)
    assert (dev.version, dev.last, dev.commit, dev.by, dev.drift) == (
        "v0.4.13",
        "v0.4.12",
        second.commit,
        "Ada",
        (),
    )
    assert (prod.version, prod.differs, prod.behind, prod.after) == ("v0.4.12", 1, 1, "dev")
    assert prod.site == str(first.site)
    site.clone.git("push", "-q", "-f", "origin", f"{first.commit}:refs/tags/dev/deploy")
    dev, prod = read_status(site.project)
    assert dev.drift == ("dev/deploy is none of haybale's tags: somebody moved it by hand",)
    assert prod.drift == ()
    said = f"version: v0.4.13\ncommit: {second.commit}\nrecord: {second.digest}"
    tag = git.create_tag_object(site.clone.path, "dev/deploy", first.commit, said)
    site.clone.git("push", "-q", "-f", "origin", f"{tag}:refs/tags/dev/deploy")
    dev, _ = read_status(site.project)
    assert dev.drift == (f"dev/deploy points to {first.commit[:12]}, which is not v0.4.13",)
    assert json.loads(json.dumps(dev.to_dict()))["drift"] == list(dev.drift)


def test_find_unused_keeps_newer_versions(site: Site) -> None:
    site.image("v0.4.10", {})
    site.release("v0.4.12")
    site.image("v0.4.13", {})
    site.image("v0.4.13-solr", {})
    assert set(site.unused().registry) == {"v0.4.10"}


def test_remove_unused_keeps_referred(site: Site) -> None:
    kept = site.release("v0.4.12")
    site.image("v0.4.10-pr7", {})
    site.image("last-solr", {})
    lost = site.image("solr-0123", {})
    site.image("also", {})
    shared = site.repository.retag(str(kept.index.digest), "another-name")
    found = site.unused()
    assert set(found.registry) == {"v0.4.10-pr7", "solr-0123", "also"}
    assert shared == str(kept.index.digest)
    assert site.prune(found).registry == found.registry
    assert site.repository.digest("solr-0123") is None
    assert site.repository.manifest(lost) is None
    assert all(check.passed for check in verify_release(site.project, "v0.4.12"))
    assert site.unused().registry == {}


def test_push_deployment_rollback_loses_race(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("v0.4.12", "v0.4.13", "v0.4.14"):
        site.release(version)
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    real = verification.find_image_problem

    def meanwhile(project: config.Project, record: ReleaseRecord) -> str | None:
        monkeypatch.setattr(verification, "find_image_problem", real)
        site.deploy("dev", "v0.4.14")
        return real(project, record)

    monkeypatch.setattr(verification, "find_image_problem", meanwhile)
    with pytest.raises(ReleaseError, match=r"Ada deployed v0\.4\.14 first"):
        site.rollback("dev")
    dev, _ = read_status(site.project)
    assert (dev.version, dev.last) == ("v0.4.14", "v0.4.13")


def test_push_deployment_arrived_is_not_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("v0.4.12", "v0.4.13", "v0.4.14"):
        site.release(version)
    site.deploy("dev", "v0.4.12")
    real = git.push

    def pushed(root: Path, remote: str, refs: Any) -> process.Completed:
        monkeypatch.setattr(git, "push", real)
        real(root, remote, refs)
        site.deploy("dev", "v0.4.14")
        return process.Completed(code=1, stderr="the connection was cut")

    plan = plan_deployment(site.project, "dev", "v0.4.13")
    monkeypatch.setattr(git, "push", pushed)
    push_deployment(site.project, plan)
    dev, _ = read_status(site.project)
    assert (dev.version, dev.last) == ("v0.4.14", "v0.4.13")


def test_plan_deployment_replaces_foreign_tag(site: Site) -> None:
    first, second = site.release("v0.4.12"), site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    site.clone.git("push", "-q", "-f", "origin", f"{second.commit}:refs/tags/dev/deploy")
    with pytest.raises(ReleaseError, match=r"v0\.4\.13 was not in dev yet"):
        site.deploy("prod", "v0.4.13")
    site.forget()
    site.deploy("dev", "v0.4.13")
    assert [[ref for _, _, ref in push] for push in site.pushes()] == [["refs/tags/dev/deploy"]]
    assert site.at("dev") == (second.commit, first.commit)
    assert site.deploy("prod", "v0.4.13").version == "v0.4.13"
    assert site.rollback("dev").version == "v0.4.12"


def test_plan_rollback_refuses_other_commit(site: Site) -> None:
    first, _, third = (site.release(version) for version in ("v0.4.12", "v0.4.13", "v0.4.14"))
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    said = f"version: v0.4.12\ncommit: {first.commit}\nrecord: {first.digest}"
    tag = git.create_tag_object(site.clone.path, "dev/deploy", third.commit, said)
    site.clone.git("push", "-q", "-f", "origin", f"{tag}:refs/tags/last/dev/deploy")
    with pytest.raises(ReleaseError, match=r"dev cannot go back to v0\.4\.12") as told:
        site.rollback("dev")
    assert f"points to {third.commit[:12]}" in told.value.cause


def test_plan_deployment_uses_checked_record(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site.release("v0.4.12")
    real = verification.raise_if_invalid

    def meanwhile(version: str, checks: list[Check]) -> None:
        real(version, checks)
        site.tag(replace(made, index=made.site))

    monkeypatch.setattr(verification, "raise_if_invalid", meanwhile)
    plan = site.deploy("dev", "v0.4.12")
    monkeypatch.setattr(verification, "raise_if_invalid", real)
    assert f"record: {made.digest}" in git.tag_message(site.clone.path, plan.changes[deploy_ref("dev")][1])
    dev, _ = read_status(site.project)
    assert dev.drift[0] == "the record of v0.4.12 is another one than when it was deployed"


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"dump": "ef" * 32}, "its index"),
        ({"components": {"dump": "ef" * 32}}, "its index"),
        ({"counts": {"app.note": 13}}, "its index"),
        ({"bases": {"site": "sha256:0", "index": "sha256:2"}}, "site base"),
        ({"bases": {"site": "sha256:1", "index": "sha256:0"}}, "index base"),
    ],
)
def test_verify_release_compares_record_with_labels(site: Site, changed: dict[str, Any], part: str) -> None:
    made = replace(site.release("v0.4.12"), **changed)
    keep_record(site.project, made)
    site.tag(made)
    assert site.failed_checks() == [part]


def test_verify_release_shallow_clone(site: Site) -> None:
    site.release("v0.4.12")
    site.release("v0.4.13")
    shallow = site.clone.another("shallow", "--depth=1")
    project = config.load(shallow.path, {})
    assert all(check.passed for check in verify_release(project, "v0.4.13"))
    with pytest.raises(ReleaseError, match="does not go back far enough") as told:
        verify_release(project, "v0.4.12")
    assert "--unshallow" in told.value.hint


def test_find_unused_keeps_versions_without_record(site: Site) -> None:
    commit = site.clone.git("rev-parse", "HEAD")
    site.image("v0.4.10", {})
    site.image("v0.4.10-solr", {})
    tag = git.create_tag_object(site.clone.path, "v0.4.10", commit, "Release v0.4.10")
    site.clone.git("push", "-q", "origin", f"{tag}:refs/tags/v0.4.10")
    assert site.unused().registry == {}


def test_find_unused_keeps_undeclared_deployments(site: Site) -> None:
    site.release("v0.4.12")
    site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    site.clone.git("push", "-q", "origin", ":refs/tags/v0.4.12", ":refs/tags/v0.4.13")
    undeclared = replace(site.project, settings=replace(site.project.settings, environments={}))
    assert prune.find_unused(read_checkout(undeclared, {}), KEY).registry == {}
    site.clone.git("push", "-q", "-f", "origin", "HEAD:refs/tags/dev/deploy")
    with pytest.raises(ReleaseError, match="what dev/deploy runs is not known"):
        prune.find_unused(read_checkout(undeclared, {}), KEY)


# What was there before haybale ---------------------------------------------------------------------------


def make_older(site: Site) -> str:
    """Give the remote what a site has that deployed by itself: versions, a moving tag, images; the commit."""
    site.clone.git("tag", "-a", "-m", "ours", "1.9.0")
    site.clone.git("tag", "v2.0.0")
    site.clone.git("tag", "dev/deploy")
    site.clone.git("push", "-q", "origin", "1.9.0", "v2.0.0", "dev/deploy")
    for tag in ("1.9.0", "1.8.0", "main-0123abc", "latest"):
        site.image(tag, {})
    return site.clone.git("rev-parse", "HEAD")


def test_tags_from_before_haybale_stop_nothing(site: Site) -> None:
    commit = make_older(site)
    site.image("solr-0123", {})
    dev, _ = read_status(site.project)
    assert (dev.is_before_haybale, dev.version, dev.drift, dev.behind) == (True, None, (), 0)
    assert dev.label == f"before haybale ({commit[:12]})"
    assert set(site.unused().registry) == {"solr-0123"}
    for version in ("1.9.0", "v2.0.0"):
        with pytest.raises(ReleaseError, match=f"{version} is from before haybale") as told:
            verify_release(site.project, version)
        assert told.value.hint.startswith("release a version (`haybale pipeline --publish`)")
    site.release("v2.0.1")
    with pytest.raises(ReleaseError, match=r"v2\.0\.0 is from before haybale") as told:
        site.deploy("dev", "v2.0.0")
    assert "name a version with a record (v2.0.1)" in told.value.hint
    plan = site.deploy("dev", "v2.0.1")
    (note,) = plan.notes
    assert f"none of haybale's (commit {commit[:12]}): last/dev/deploy keeps it" in note
    dev, _ = read_status(site.project)
    assert (dev.is_before_haybale, dev.version, dev.drift) == (False, "v2.0.1", ())
    # Their images may still be needed, haybale's unused ones are not.
    site.image("v2.0.1-pr7", {})
    assert set(site.unused().registry) == {"solr-0123", "v2.0.1-pr7"}


def test_plan_rollback_to_what_was_before_haybale_says_how_to_do_it_by_hand(site: Site) -> None:
    commit = make_older(site)
    site.release("v2.0.1")
    site.deploy("dev", "v2.0.1")
    with pytest.raises(ReleaseError, match="there is nothing to roll dev back to") as told:
        site.rollback("dev")
    _, _, command = told.value.hint.partition("; or move the tag yourself: git ")
    site.clone.git(*command.split())
    assert site.clone.remote_refs()["refs/tags/dev/deploy"] == commit
    dev, _ = read_status(site.project)
    assert dev.is_before_haybale


def test_a_version_by_hand_after_haybale_s_is_not_from_before(site: Site) -> None:
    site.release("v0.4.12")
    site.clone.git("tag", "v0.4.13")
    site.clone.git("push", "-q", "origin", "v0.4.13")
    with pytest.raises(ReleaseError, match=r"the tag v0\.4\.13 carries no release record") as told:
        verify_release(site.project, "v0.4.13")
    assert "it is not known what it is made of" in told.value.cause


def test_find_unused_keeps_platform_images(site: Site) -> None:
    one = site.image("v0.4.10-amd64", {})
    manifest = site.repository.manifest(one)
    assert manifest is not None
    child = {"mediaType": MANIFEST_TYPE, "digest": one, "size": len(manifest.content)}
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [child]}
    site.repository.put_manifest("v0.4.12-both", json.dumps(index).encode(), INDEX_TYPE)
    whole = site.repository.digest("v0.4.12-both")
    made = replace(site.release("v0.4.12"), site=ImageRef.parse(f"{site.repository.name}@{whole}"))
    site.tag(made)
    assert site.unused().registry == {}


def test_remove_unused_keeps_what_came_into_use(site: Site) -> None:
    digest = site.image("solr-0123", {})
    found = site.unused()
    assert set(found.registry) == {"solr-0123"}
    made = replace(site.release("v0.4.12"), index=ImageRef.parse(f"{site.repository.name}@{digest}"))
    site.tag(made)
    left = site.prune(found)
    assert left.registry == {}
    assert site.repository.digest("solr-0123") == digest


def test_remove_unused_registry_refuses(
    clone: Clone, serve_registry: Callable[..., AbstractContextManager[Registry]]
) -> None:
    with serve_registry(files={"config.yml": KEEPS_ALL}) as server:
        site = site_on(clone, server.address)
        digest = site.image("solr-0123", {})
        found = site.unused()
        with pytest.raises(RegistryError, match="answers 405 about") as told:
            site.prune(found)
        assert "unsupported" in told.value.cause
        assert site.repository.digest("solr-0123") == digest


def test_read_status_order_of_declaration(site: Site) -> None:
    site.release("v0.4.12")
    site.release("v0.4.13")
    site.deploy("dev", "v0.4.12")
    site.deploy("prod", "v0.4.12")
    site.deploy("dev", "v0.4.13")
    turned = dict(reversed(list(site.project.settings.environments.items())))
    project = replace(site.project, settings=replace(site.project.settings, environments=turned))
    prod, dev = read_status(project)
    assert (prod.environment, prod.differs, dev.differs) == ("prod", 1, None)


# Over HTTP ------------------------------------------------------------------------------------------------


class Backend(http.server.BaseHTTPRequestHandler):
    """git http-backend, as a web server runs it (git-http-backend(1))."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            **os.environ, "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "REQUEST_METHOD": self.command, "QUERY_STRING": query, "REMOTE_USER": "ada",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        code = next((value.split()[0] for name, value in fields if name == "Status"), "200")
        self.send_response(int(code))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(site: Site) -> Iterator[Site]:
    """The same, with its remote over HTTP."""
    handler = type("Handler", (Backend,), {"root": site.clone.remote.parent})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{site.clone.remote.name}"
        site.clone.git("remote", "set-url", "origin", url)
        yield site
        server.shutdown()
        thread.join()


def test_push_deployment_two_at_once(served: Site) -> None:
    ours = served
    versions = [ours.release("v0.4.12"), ours.release("v0.4.13"), ours.release("v0.4.14")]
    url = ours.clone.git("remote", "get-url", "origin")
    other = ours.clone.another("other")
    other.git("remote", "set-url", "origin", url)
    theirs = replace(ours, clone=other, project=config.load(other.path, {}))
    ours.deploy("dev", "v0.4.12")
    ours.forget()
    lost = 0

    def go(who: Site, record: ReleaseRecord) -> bool:
        plan = _planned(who, record)
        together.wait()
        try:
            push_deployment(who.project, plan)
        except ReleaseError as error:
            told.append(error.message)
            return False
        return True

    told: list[str] = []
    together = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            there = ours.deployed_commit("dev")
            mine, yours, *_ = random.sample([each for each in versions if each.commit != there], 2)
            went = list(pool.map(go, (ours, theirs), (mine, yours)))
            assert any(went)
            lost += went.count(False)
    assert lost, "they were never really at once"
    assert all("Ada deployed v0.4.1" in each for each in told)
    pushes = ours.pushes()
    for push in pushes:
        moved = {ref: (old, new) for old, new, ref in push}
        assert set(moved) == {deploy_ref("dev"), last_ref("dev")}
        assert moved[last_ref("dev")][1] == moved[deploy_ref("dev")][0]
    for before, after in itertools.pairwise(pushes):
        assert {(ref, new) for _, new, ref in before} == {(ref, old) for old, _, ref in after}


class Cut:
    """A proxy that cuts one connection after so many bytes of one side, and lets all others through."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.connection, self.after, self.side = -1, 0, "up"
        self.seen = 0
        self.cut = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, connection: int, side: str, after: int) -> None:
        """Cut the connection of that number (from 0) after so many bytes: "up" to the server, or "down"."""
        self.seen, self.cut = 0, False
        self.connection, self.side, self.after = connection, side, after

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                number, self.seen = self.seen, self.seen + 1
                for side, source, sink in (("up", near, far), ("down", far, near)):
                    here = number == self.connection and side == self.side
                    threading.Thread(
                        target=self.pump, args=(source, sink, self.after if here else None), daemon=True
                    ).start()

    def pump(self, source: socket.socket, sink: socket.socket, after: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if after is not None and passed + len(chunk) > after:
                    sink.sendall(chunk[: after - passed])
                    self.cut = True
                    break
                sink.sendall(chunk)
                passed += len(chunk)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        self.listener.close()


def test_push_deployment_cut_off_anywhere(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", (0, 0))
    versions = [served.release("v0.4.12"), served.release("v0.4.13"), served.release("v0.4.14")]
    served.deploy("dev", "v0.4.12")
    served.deploy("dev", "v0.4.13")
    url = served.clone.git("remote", "get-url", "origin")
    proxy = Cut(int(url.split(":")[2].split("/")[0]))
    served.clone.git("remote", "set-url", "origin", url.replace(str(proxy.target), str(proxy.port)))
    cuts = 0
    arrived = set()
    try:
        positions = [
            (side, after) for side in ("up", "down") for after in (0, 40, 150, 300, 500, 700, 900, 1200)
        ]
        for side, after in positions:
            for connection in (0, 1):
                before = served.at("dev")
                record = next(each for each in versions if each.commit not in before)
                plan = _planned(served, record)
                proxy.arm(connection, side, after)
                done = True
                try:
                    push_deployment(served.project, plan)
                except ReleaseError:
                    done = False
                cuts += proxy.cut
                proxy.arm(-1, "up", 0)
                now = served.at("dev")
                assert now in {before, (record.commit, before[0])}
                assert done == (now != before), "what is told is what is there"
                arrived.add(done)
    finally:
        proxy.close()
    assert cuts > len(positions) // 2
    assert True in arrived


def test_repository_tags_of_engine() -> None:
    name = f"haybale-test-{os.environ['HAYBALE_TEST_RUN']}-{secrets.token_hex(4)}"
    made = subprocess.run(
        ["docker", "import", "-", f"{name}:one"], input=b"\0" * 10240, capture_output=True, check=True
    )
    try:
        found = sdk.repository_tags(ImageRef.parse(name))
        assert set(found) == {"one"}
        assert found["one"] == made.stdout.decode().strip()
    finally:
        sdk.remove_image(f"{name}:one")
