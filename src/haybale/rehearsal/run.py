"""A deployment's rehearsal: on a remote of its own, with what the forge would send and what Flux would do.

Nothing leaves this machine. The moves are those of `deploy`, git makes them, the events follow from what it
did; the Receivers are those of the manifests on disk. So a slip in a tag's name, an event, a filter or a
Secret's name is found before it is missed in production.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from haybale.deploy import commit as pin
from haybale.deploy import flux
from haybale.deploy import tags as deploy
from haybale.errors import ConfigError, PrerequisiteError, ReleaseError
from haybale.rehearsal import forges as webhooks
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haybale.config import Project
    from haybale.rehearsal.forges import Change, Event

# What the rehearsal needs besides haybale, as Python imports it.
NEEDED = ("cel", "yaml")

# Kinds of objects that the manifests of an environment have one of.
KINDS = ("GitRepository", "Receiver", "Kustomization")


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """An environment's objects as its file has them, and the name of the Secret that there will be."""

    file: Path
    source: Mapping[str, Any]
    receiver: Mapping[str, Any]
    kustomization: Mapping[str, Any]
    secret: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A request of the rehearsal: the move that it came from, what it was, whose Receiver, what that did.

    `right` is whether that is what should have happened.
    """

    move: str
    event: str
    ref: str
    receiver: str
    status: int
    fired: bool
    why: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something else that has to be so, for Flux to apply what was deployed."""

    what: str
    right: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was seen; `notes` say what it was not about."""

    environment: str
    deliveries: tuple[Delivery, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> list[str]:
        """What is not as it has to be, a sentence each."""
        told = [
            f"{each.move}, {each.event}: the Receiver of {each.receiver} answers {each.status}: {each.why}"
            for each in self.deliveries
            if not each.right
        ]
        return told + [f"{each.what}: {each.why}" for each in self.checks if not each.right]


def rehearse(project: Project, environment: str, say: Callable[[str], None]) -> Rehearsal:
    """Deploy HEAD to an environment on a scratch remote: for the first time, once more, and back.

    Raises `UsageError` for an environment that is not declared, `ReleaseError` where its manifests are not
    there, `ConfigError` where they can't be read, and `PrerequisiteError` where its libraries are not.
    """
    deploy.check_environment(project, environment)
    missing = [name for name in NEEDED if util.find_spec(name) is None]
    if missing:
        raise PrerequisiteError(
            f"the rehearsal needs {' and '.join(missing)}, which this Python has not",
            cause="nothing else needs them, so they are an extra",
            hint='pip install "haybale[rehearse]", or ./noxw -s rehearse_deploy',
        )
    manifests = {name: read(project, name) for name in project.settings.environments}
    with tempfile.TemporaryDirectory(prefix="haybale-rehearsal-") as folder:
        stage = _Stage(project, Path(folder))
        say("rehearsing on a remote of its own; nothing leaves this machine")
        moves = [
            ("first deployment", stage.deploy(environment, "v0.0.1")),
            ("next deployment", stage.deploy(environment, "v0.0.2")),
            ("rollback", stage.roll_back(environment)),
        ]
        checks = stage.check(environment, manifests[environment])
    forge = project.settings.flux.forge
    deliveries = perform(forge, environment, manifests, moves)
    notes = []
    changed = [
        name
        for name in git.changed_files(project.root)
        if name.startswith(f"{project.settings.flux.folder}/")
    ]
    if changed:
        notes.append(f"deployed was HEAD, without the changes in {', '.join(changed)}")
    return Rehearsal(
        environment=environment, deliveries=tuple(deliveries), checks=tuple(checks), notes=tuple(notes)
    )


def perform(
    forge: str,
    environment: str,
    manifests: Mapping[str, Manifests],
    moves: Sequence[tuple[str, Sequence[Change]]],
) -> list[Delivery]:
    """Send what a forge would for these moves to every Receiver, and say what each does.

    Right is: each move makes the Receiver of its environment fire and no other one, nothing that the forge
    sends fails, and what somebody else signed is refused. Each Receiver has a token of its own.
    """
    tokens = {name: secrets.token_hex(32) for name in manifests}
    objects = [each for its in manifests.values() for each in (its.source, its.receiver, its.kustomization)]

    def send(move: str, event: Event, name: str, *, token: str = "") -> Delivery:
        sent = webhooks.request(forge, event, token or tokens[name])
        known = {manifests[name].secret: tokens[name]}
        answer = webhooks.answer(manifests[name].receiver, known, objects, sent)
        return Delivery(
            move=move, event=event.name or "request", ref=event.ref, receiver=name,
            status=answer.status, fired=bool(answer.fired), why=answer.why, right=True,
        )  # fmt: skip

    found: list[Delivery] = []
    for event in webhooks.ping(forge):
        made = [send("new webhook", event, name) for name in manifests]
        found += [replace(each, right=each.status == webhooks.OK and not each.fired) for each in made]
    for move, changes in moves:
        told = webhooks.events(forge, changes)
        if not told:
            found.append(
                Delivery(
                    move=move, event="none", ref="", receiver=environment, status=0, fired=False,
                    why=f"the forge sends nothing for {len(changes)} refs at once", right=False,
                )
            )  # fmt: skip
        for name in manifests:
            made = [send(move, event, name) for event in told]
            # One of the events is enough; none may fail, and none may wake another environment.
            fires = any(each.fired for each in made) or name != environment
            found += [
                replace(
                    each,
                    right=each.status == webhooks.OK and fires and (name == environment or not each.fired),
                )
                for each in made
            ]
    for event in webhooks.events(forge, moves[0][1])[:1]:
        forged = send("forged", event, environment, token=secrets.token_hex(32))
        found.append(replace(forged, right=forged.status == webhooks.REFUSED))
    return found


def read(project: Project, environment: str) -> Manifests:
    """Return an environment's manifests from the disk; `ReleaseError`, `ConfigError`."""
    import yaml  # noqa: PLC0415 - only the rehearsal has it

    folder = project.path(project.settings.flux.folder) / "flux"
    file = folder / f"{environment}.yaml"
    if not file.is_file():
        raise ReleaseError(
            f"there is no {file}", cause=f"nobody wrote what Flux needs of {environment}", hint="just flux"
        )
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        template = folder / f"{environment}.secret.template"
        secret = yaml.safe_load(template.read_text(encoding="utf-8")) if template.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} or its Secret's template is no YAML", cause=str(error), hint="mend it, or just flux"
        ) from error
    named = {
        kind: [each for each in documents if isinstance(each, dict) and each.get("kind") == kind]
        for kind in KINDS
    }
    odd = [kind for kind in KINDS if len(named[kind]) != 1]
    if odd:
        raise ConfigError(
            f"{file} has not one {' and one '.join(odd)}",
            cause="it was changed by hand, or is another tool's",
            hint="delete it, and just flux",
        )
    (source,), (receiver,), (kustomization,) = (named[kind] for kind in KINDS)
    return Manifests(
        file=file, source=source, receiver=receiver, kustomization=kustomization,
        # Without a template the Secret comes from elsewhere, by the name that the Receiver asks for.
        secret=(secret["metadata"] if secret else receiver["spec"].get("secretRef", {})).get("name", ""),
    )  # fmt: skip


class _Stage:
    """A scratch remote with all that this clone knows, and a clone of it that deploys."""

    def __init__(self, project: Project, folder: Path) -> None:
        root, self.remote = project.root, folder / "remote.git"
        self.work = folder / "work"
        self.head = git.resolve_commit(root, "HEAD")
        if not self.head:
            raise ReleaseError(f"nothing is committed in {root}", hint="commit, and try again")
        # Nothing of the user's: no hooks, no tags of real deployments.
        git.check_output(folder, "init", "--quiet", "--bare", str(self.remote))
        git.check_output(
            self.remote,
            "fetch",
            "--quiet",
            "--no-tags",
            "--update-shallow",
            str(root),
            f"{self.head}:refs/heads/main",
        )
        git.check_output(
            folder,
            "clone",
            "--quiet",
            "--no-checkout",
            "--shared",
            "-b",
            "main",
            str(self.remote),
            str(self.work),
        )
        self.project = replace(project, root=self.work)
        self.deployed: list[str] = []

    def deploy(self, environment: str, version: str) -> list[Change]:
        """Deploy HEAD as a version, with images that there are none of."""
        image = f"{pin.NOTHING.partition('@')[0]}@sha256:{version.encode().hex():0>64}"
        commit = pin.pinned(
            self.project, commit=self.head, version=version, environment=environment, site=image, index=image
        )
        return self._move(environment, commit, version)

    def roll_back(self, environment: str) -> list[Change]:
        """Deploy what was there before."""
        return self._move(environment, self.deployed[-2], "back")

    def _move(self, environment: str, commit: str, message: str) -> list[Change]:
        before = self._refs()
        made = git.create_tag_object(
            self.work, flux.tag(environment), commit, f"{message} {len(self.deployed)}"
        )
        done = git.push(self.work, str(self.remote), deploy.moves(environment, before, made))
        if not done.ok:
            raise ReleaseError("the scratch remote did not take the tags", log=done.stderr)
        self.deployed.append(commit)
        after = self._refs()
        return [
            webhooks.Change(ref=ref, old=before.get(ref, ""), new=after.get(ref, ""))
            for ref in sorted(before | after)
            if before.get(ref) != after.get(ref)
        ]

    def _refs(self) -> dict[str, str]:
        found = git.remote_refs(self.work, str(self.remote), "refs/tags/*")
        return {ref: hashed for ref, hashed in found.items() if not ref.endswith("^{}")}

    def check(self, environment: str, manifests: Manifests) -> list[Check]:
        """Return whether Flux would apply what was deployed last, once it was told."""
        ref = manifests.source["spec"].get("ref", {})
        follows = ref.get("tag", "")
        found = git.resolve_commit(self.remote, f"refs/tags/{follows}") if follows else ""
        path = Path(manifests.kustomization["spec"].get("path", "./"))
        there = git.read_file_at(self.remote, self.deployed[-1], str(path / "kustomization.yaml"))
        images = git.read_file_at(self.remote, self.deployed[-1], pin.file(self.project, environment))
        origin = manifests.kustomization["spec"].get("sourceRef", {}).get("name")
        secret = manifests.receiver["spec"].get("secretRef", {}).get("name", "")
        return [
            Check(
                what=f"the GitRepository follows {flux.tag(environment)}",
                right=found == self.deployed[-1] and set(ref) == {"tag"},
                why=f"its ref is {json.dumps(ref)}",
            ),
            Check(
                what="the Kustomization takes from this GitRepository",
                right=origin == manifests.source["metadata"]["name"],
                why=f"its source is {origin}",
            ),
            Check(
                what="its path is in what was deployed",
                right=there is not None,
                why=f"{path}/kustomization.yaml " + ("is there" if there is not None else "is not in HEAD"),
            ),
            Check(
                what="the images are pinned by digest",
                right=images is not None and pin.NOTHING not in images,
                why=f"{pin.file(self.project, environment)} "
                + ("has them" if images is not None else "is not in HEAD: just flux, and commit"),
            ),
            Check(
                what="the Receiver's Secret is that of the template",
                right=secret == manifests.secret,
                why=f"the Receiver wants {secret!r}, there is {manifests.secret!r}",
            ),
        ]


def table(seen: Rehearsal) -> Table:
    """Return what was sent and what came of it, a section for each move."""
    shown = Table(title=f"rehearsal of {seen.environment}", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "move", "event", "ref", "Receiver", ""):
        shown.add_column(heading, no_wrap=True)
    shown.add_column("it")
    move = ""
    for each in seen.deliveries:
        shown.add_row(
            "✓" if each.right else "✗", each.move if each.move != move else "", each.event,
            each.ref.removeprefix("refs/tags/"), each.receiver, str(each.status or ""), each.why,
        )  # fmt: skip
        move = each.move
    return shown


def lines(seen: Rehearsal) -> list[str]:
    """Return what else was looked at, a line each."""
    return [f"{'✓' if each.right else '✗'} {each.what}: {each.why}" for each in seen.checks] + [
        f"! {note}" for note in seen.notes
    ]


def as_json(seen: Rehearsal) -> str:
    """Return what was seen as JSON: {environment, deliveries, checks, notes, wrong}."""
    return json.dumps({**asdict(seen), "wrong": seen.wrong}, indent=2)


def judge(seen: Rehearsal) -> None:
    """Raise `ReleaseError` where something is not as it has to be."""
    if seen.wrong:
        raise ReleaseError(
            f"deploying to {seen.environment} would not go as it should:\n"
            + "\n".join(f"- {each}" for each in seen.wrong),
            cause="the manifests are not what the settings ask for, or not committed",
            hint="just flux writes them from the settings",
        )
