"""A deployment's rehearsal: on a remote of its own, with what the forge would send and what Flux would do.

Nothing leaves this machine. The tags move as `deploy` moves them, git moves them, the events follow from what
it did; the Receivers are those of the manifests on disk. So a slip in a tag's name, an event, a filter or a
Secret's name is found before it is missed in production.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from haybale.deploy.commit import NO_IMAGE, images_file, make_deployment_commit
from haybale.deploy.flux import needs_key
from haybale.deploy.tags import compute_changes, deploy_tag, raise_if_undeclared
from haybale.errors import ConfigError, ReleaseError
from haybale.rehearsal.forges import RefChange, ping_events, push_events, sign_request
from haybale.rehearsal.receiver import OK, REFUSED, receive
from haybale.release.remote import remote_refs
from haybale.release.verification import Check, failure_lines
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haybale.config import Project
    from haybale.rehearsal.forges import WebhookEvent

# Kinds of objects that the manifests of an environment have one of; of the last two, one or the other.
KINDS = ("GitRepository", "Receiver")
APPLIED = ("Kustomization", "HelmRelease")


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """An environment's objects as its file has them, and the name of the Secret that there will be.

    `applied` is its Kustomization, or its HelmRelease.
    """

    source: Mapping[str, Any]
    receiver: Mapping[str, Any]
    applied: Mapping[str, Any]
    secret: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A request of the rehearsal: the move that it came from, the event, whose Receiver, what that did.

    `event`, `ref` and `status` are None where the forge sends nothing; `fired` says that Flux fetched
    something, `passed` that this is what should have happened.
    """

    move: str
    event: str | None
    ref: str | None
    receiver: str
    status: int | None
    fired: bool
    passed: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a rehearsal found; `notes` say what it did not cover."""

    environment: str
    deliveries: tuple[Delivery, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        """What is not as it has to be, a sentence each."""
        return [
            f"{each.move}, {each.event}: the Receiver of {each.receiver} answers {each.status}: {each.detail}"
            for each in self.deliveries
            if not each.passed
        ] + failure_lines(self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the document for programs: the fields, and `failures`."""
        return {**asdict(self), "failures": self.failures}

    def raise_if_failed(self) -> None:
        """Raise `ReleaseError` where something is not as it has to be."""
        if self.failures:
            raise ReleaseError(
                f"deploying to {self.environment} would not work:\n"
                + "\n".join(f"- {each}" for each in self.failures),
                cause="that is what the manifests of HEAD would make of it",
                hint="write them from the settings, and commit: `haybale flux`",
            )


def rehearse_deployment(project: Project, environment: str, say: Callable[[str], None]) -> Rehearsal:
    """Deploy HEAD to an environment on a scratch remote: for the first time, once more, and back.

    Raises `UsageError` for an environment that is not declared, `ReleaseError` where its manifests are
    missing, and `ConfigError` where they cannot be read.
    """
    raise_if_undeclared(project, environment)
    manifests = {name: read_manifests(project, name) for name in project.settings.environments}
    with tempfile.TemporaryDirectory(prefix="haybale-rehearsal-") as folder:
        remote = _ScratchRemote(project, Path(folder))
        say("rehearsing on a remote of its own; nothing leaves this machine")
        moves = [
            ("first deployment", remote.deploy(environment, "v0.0.1")),
            ("next deployment", remote.deploy(environment, "v0.0.2")),
            ("rollback", remote.roll_back(environment)),
        ]
        checks = remote.check(environment, manifests[environment])
    below = f"{project.settings.flux.folder}/"
    changed = [name for name in git.changed_files(project.root) if name.startswith(below)]
    return Rehearsal(
        environment=environment,
        deliveries=tuple(deliver_events(project.settings.flux.forge, environment, manifests, moves)),
        checks=tuple(checks),
        notes=(f"deployed was HEAD, without the changes in {', '.join(changed)}",) if changed else (),
    )


def deliver_events(
    forge: str,
    environment: str,
    manifests: Mapping[str, Manifests],
    moves: Sequence[tuple[str, Sequence[RefChange]]],
) -> list[Delivery]:
    """Send what a forge would for these moves to every Receiver, and say what each does.

    Passed means: each move makes the Receiver of its environment fire and no other one, nothing that the
    forge sends fails, and what somebody else signed is refused. Each Receiver has a token of its own.
    """
    tokens = {name: secrets.token_hex(32) for name in manifests}
    objects = [each for its in manifests.values() for each in (its.source, its.receiver, its.applied)]

    def send(move: str, event: WebhookEvent, name: str, *, token: str | None = None) -> Delivery:
        request = sign_request(forge, event, token or tokens[name])
        answer = receive(manifests[name].receiver, {manifests[name].secret: tokens[name]}, objects, request)
        return Delivery(
            move=move, event=event.name or "request", ref=event.ref, receiver=name, status=answer.status,
            fired=bool(answer.fetched), passed=answer.status == OK, detail=answer.reason,
        )  # fmt: skip

    deliveries: list[Delivery] = []
    for event in ping_events(forge):
        sent = [send("new webhook", event, name) for name in manifests]
        deliveries += [replace(each, passed=each.passed and not each.fired) for each in sent]
    for move, changes in moves:
        events = push_events(forge, changes)
        if not events:
            deliveries.append(
                Delivery(
                    move=move, event=None, ref=None, receiver=environment, status=None, fired=False,
                    passed=False, detail=f"the forge sends nothing for {len(changes)} refs at once",
                )
            )  # fmt: skip
        for name in manifests:
            sent = [send(move, event, name) for event in events]
            # One of the events is enough; none may fail, and none may wake another environment.
            is_woken = any(each.fired for each in sent)
            deliveries += [
                replace(each, passed=each.passed and (is_woken if name == environment else not each.fired))
                for each in sent
            ]
    for event in push_events(forge, moves[0][1])[:1]:
        forged = send("forged", event, environment, token=secrets.token_hex(32))
        deliveries.append(replace(forged, passed=forged.status == REFUSED))
    return deliveries


def read_manifests(project: Project, environment: str) -> Manifests:
    """Return an environment's manifests from the disk; `ReleaseError`, `ConfigError`."""
    folder = project.path(project.settings.flux.folder) / "flux"
    file = folder / f"{environment}.yaml"
    if not file.is_file():
        raise ReleaseError(
            f"there is no {file}",
            cause=f"nobody wrote what Flux needs of {environment}",
            hint="write it, and commit: `haybale flux`",
        )
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        template = folder / f"{environment}.secret.template"
        secret = yaml.safe_load(template.read_text(encoding="utf-8")) if template.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} or its Secret's template is not YAML",
            cause=str(error),
            hint="fix it, or delete it and write it anew: `haybale flux`",
        ) from error
    named = {
        kind: [each for each in documents if isinstance(each, dict) and each.get("kind") == kind]
        for kind in (*KINDS, *APPLIED)
    }
    named["Kustomization or HelmRelease"] = [each for kind in APPLIED for each in named.pop(kind)]
    odd = [kind for kind in named if len(named[kind]) != 1]
    if odd:
        raise ConfigError(
            f"{file} has not one {' and one '.join(odd)}",
            cause="`haybale flux` writes one of each",
            hint="delete it, and write it anew: `haybale flux`",
        )
    (source,), (receiver,), (applied,) = named.values()
    return Manifests(
        source=source, receiver=receiver, applied=applied,
        # Without a template the Secret comes from elsewhere, by the name that the Receiver asks for.
        secret=(secret["metadata"] if secret else receiver["spec"].get("secretRef", {})).get("name", ""),
    )  # fmt: skip


class _ScratchRemote:
    """A remote with all that this clone knows, and a clone of it that deploys."""

    def __init__(self, project: Project, folder: Path) -> None:
        root, self.remote = project.root, folder / "remote.git"
        self.clone = folder / "clone"
        head = git.resolve_commit(root, "HEAD")
        if not head:
            raise ReleaseError(f"nothing is committed in {root}", hint="commit, and try again")
        self.head = head
        # Nothing of the user's: no hooks, no tags of real deployments.
        git.check_output(folder, "init", "--quiet", "--bare", str(self.remote))
        fetch = ("fetch", "--quiet", "--no-tags", "--update-shallow")
        git.check_output(self.remote, *fetch, str(root), f"{self.head}:refs/heads/main")
        clone = ("clone", "--quiet", "--no-checkout", "--shared", "-b", "main")
        git.check_output(folder, *clone, str(self.remote), str(self.clone))
        self.project = replace(project, root=self.clone)
        self.deployed: list[str] = []

    def deploy(self, environment: str, version: str) -> list[RefChange]:
        """Deploy HEAD as a version, with images that do not exist."""
        image = NO_IMAGE.with_digest(f"sha256:{version.encode().hex():0>64}")
        commit = make_deployment_commit(
            self.project, commit=self.head, version=version, environment=environment, site=image, index=image
        )
        return self._move_tags(environment, commit, version)

    def roll_back(self, environment: str) -> list[RefChange]:
        """Deploy the commit before."""
        return self._move_tags(environment, self.deployed[-2], "back")

    def _move_tags(self, environment: str, commit: str, message: str) -> list[RefChange]:
        before = self._read_tags()
        tag = git.create_tag_object(
            self.clone, deploy_tag(environment), commit, f"{message} {len(self.deployed)}"
        )
        done = git.push(self.clone, str(self.remote), compute_changes(environment, before, tag))
        if not done.ok:
            raise ReleaseError(
                "the scratch remote did not take the tags", cause=done.error_line, log=done.stderr
            )
        self.deployed.append(commit)
        after = self._read_tags()
        return [
            RefChange(ref=ref, old=before.get(ref), new=after.get(ref))
            for ref in sorted(before | after)
            if before.get(ref) != after.get(ref)
        ]

    def _read_tags(self) -> dict[str, str]:
        found = remote_refs(self.clone, str(self.remote), "refs/tags/*")
        return {ref: hashed for ref, hashed in found.items() if not ref.endswith("^{}")}

    def check(self, environment: str, manifests: Manifests) -> list[Check]:
        """Return whether Flux would apply what was deployed last, once it fetches."""
        commit = self.deployed[-1]
        ref = manifests.source["spec"].get("ref", {})
        followed = git.resolve_commit(self.remote, f"refs/tags/{ref['tag']}") if ref.get("tag") else None
        images_path = images_file(self.project, environment)
        images = git.read_file_at(self.remote, commit, images_path)
        kind, spec = manifests.applied["kind"], manifests.applied["spec"]
        chart = spec.get("chart", {}).get("spec", {})
        source = (chart if kind == "HelmRelease" else spec).get("sourceRef", {}).get("name")
        secret = manifests.receiver["spec"].get("secretRef", {}).get("name", "")
        results = {
            **check_access(manifests.source["spec"]),
            f"the GitRepository follows {deploy_tag(environment)}": (
                followed == commit and set(ref) == {"tag"}, f"its ref is {json.dumps(ref)}",
            ),
            f"the {kind} takes from this GitRepository": (
                source == manifests.source["metadata"]["name"], f"its source is {source}",
            ),
            **(self._check_chart(commit, chart, images_path) if kind == "HelmRelease" else
               self._check_path(commit, spec, images_path)),
            "the images are pinned by digest": (
                images is not None and str(NO_IMAGE.digest) not in images,
                f"{images_path} {'has them' if images else 'is not in HEAD: `haybale flux`, and commit'}",
            ),
            "the Receiver's Secret is that of the template": (
                secret == manifests.secret, f"the Receiver wants {secret!r}, there is {manifests.secret!r}",
            ),
        }  # fmt: skip
        return [Check(name=name, passed=passed, detail=detail) for name, (passed, detail) in results.items()]

    def _check_path(
        self, commit: str, spec: Mapping[str, Any], images_path: str
    ) -> dict[str, tuple[bool, str]]:
        """Return whether a Kustomization finds its folder in a commit, and in it which images run."""
        path = Path(spec.get("path", "./"))
        kustomization = git.read_file_at(self.remote, commit, f"{path}/kustomization.yaml")
        # Without one, Flux makes one of the manifests that are there.
        has_path = kustomization is not None or bool(git.list_files_at(self.remote, commit, str(path)))
        detail = f"{path} is {'there' if has_path else 'not in HEAD'}"
        there = {"its path is in what was deployed": (has_path, detail)}
        if not has_path:
            return there
        found = yaml.safe_load(kustomization) if kustomization else None
        named = [*(found or {}).get("components", []), *spec.get("components", [])]
        folders = {str(path / each) for each in named}
        takes = (str(Path(images_path).parent) in folders, f"its components are {json.dumps(named)}")
        return {**there, "it takes which images run": takes}

    def _check_chart(
        self, commit: str, chart: Mapping[str, Any], images_path: str
    ) -> dict[str, tuple[bool, str]]:
        """Return whether a HelmRelease finds its chart in a commit, and takes which images run last."""
        files = [str(Path(each)) for each in chart.get("valuesFiles", [])]
        needed = [f"{Path(chart.get('chart', '.'))}/Chart.yaml", *files]
        missing = [path for path in needed if git.read_file_at(self.remote, commit, path) is None]
        strategy = chart.get("reconcileStrategy")
        return {
            "its chart and its values are in what was deployed": (
                not missing, f"not in HEAD: {', '.join(missing)}" if missing else ", ".join(needed),
            ),
            "it takes which images run": (
                files[-1:] == [images_path], f"the last of its values is {files[-1] if files else 'none'}",
            ),
            "it takes every revision": (strategy == "Revision", f"its reconcileStrategy is {strategy}"),
        }  # fmt: skip


def check_access(source: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Return whether Flux has what it needs to fetch a GitRepository, from its `spec`."""
    url, secret = source.get("url", ""), (source.get("secretRef") or {}).get("name")
    detail = f"it fetches {url} {f'with the Secret {secret}' if secret else 'without a Secret'}"
    return {"the GitRepository has the key that ssh needs": (bool(secret) or not needs_key(url), detail)}
