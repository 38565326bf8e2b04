"""Deploying: two tags move, in one push, or none does.

An environment follows the tag ENV/deploy; last/ENV/deploy remembers what it was, for the way back
(docs/deploy.md). What is moved is decided by a pure function from what the remote has; whether a push arrived
is read from the remote, never from git's words.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.deploy import commit as pin
from haybale.errors import PrerequisiteError, ReleaseError, UsageError
from haybale.release import releases, remote
from haybale.release.remote import REMOTE, fetch_refs, remote_refs
from haybale.tools import git
from haybale.version import read_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project
    from haybale.release.record import Record
    from haybale.tools import process

    # Refs of the remote: full name -> (what it is now, "" for absent; what it becomes).
    Moves = Mapping[str, tuple[str, str]]

# Versions that an environment's tag remembers.
REMEMBERED = 100


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What an environment's tag says: hash of the tag, commit behind it, version, record's digest, who, when.

    `since` is in seconds since 1970. `deployed` are the versions that were there, the last one last.
    `version` is "" where the tag is none of haybale's.
    """

    tag: str
    commit: str
    version: str
    record: str
    by: str
    since: int
    deployed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Move:
    """What is to be done for an environment: the version that it gets, and the refs that move.

    None move where it has that version already.
    """

    environment: str
    version: str
    commit: str
    before: str
    moves: Moves


def deploy_ref(environment: str) -> str:
    """Return the ref that an environment follows."""
    return f"refs/tags/{environment}/deploy"


def last_ref(environment: str) -> str:
    """Return the ref that remembers what the environment followed before."""
    return f"refs/tags/last/{environment}/deploy"


def moves(environment: str, refs: Mapping[str, str], tag: str) -> Moves:
    """Return which refs move so that an environment follows `tag`, from those that the remote has now."""
    deploy, last = deploy_ref(environment), last_ref(environment)
    now = refs.get(deploy, "")
    if not now:
        return {deploy: ("", tag)}
    return {last: (refs.get(last, ""), now), deploy: (now, tag)}


def message(environment: str, record: Record, *, back: bool, deployed: tuple[str, ...]) -> str:
    """Return what an environment's tag says."""
    what = (
        f"Roll {environment} back to {record.version}"
        if back
        else f"Deploy {record.version} to {environment}"
    )
    remembered = [*(each for each in deployed if each != record.version), record.version][-REMEMBERED:]
    return "\n".join([
        what, "", f"version: {record.version}", f"commit: {record.commit}", f"record: {record.digest}",
        f"deployed: {' '.join(remembered)}",
    ])  # fmt: skip


def check_environment(project: Project, environment: str) -> None:
    """Raise `UsageError` where an environment is not declared; the name has not been near git by then."""
    known = project.settings.environments
    if environment not in known:
        raise UsageError(
            f"there is no environment {environment!r}",
            cause=f"declared are: {', '.join(known) or 'none'}",
            hint="name one of them, or declare it: [tool.haybale.environments.NAME] in pyproject.toml",
        )


def look(project: Project, environment: str) -> dict[str, str]:
    """Return the two refs of an environment that the remote has, with what they point to (NAME^{})."""
    return remote_refs(project.root, REMOTE, deploy_ref(environment), last_ref(environment))


def read(project: Project, refs: Mapping[str, str], ref: str) -> Deployment | None:
    """Return what a tag of an environment says, None where the remote has no such tag; `ReleaseError`."""
    tag = refs.get(ref)
    if tag is None:
        return None
    fetch_refs(project.root, REMOTE, ref)
    found = git.read_tag(project.root, tag)
    lines = found.message.splitlines() if found else ()
    said = dict(line.split(": ", 1) for line in lines if ": " in line)
    return Deployment(
        tag=tag,
        commit=refs.get(f"{ref}^{{}}", tag),
        version=said.get("version", ""),
        record=said.get("record", ""),
        by=found.tagger if found else "",
        since=found.time if found else 0,
        deployed=tuple(said.get("deployed", "").split()),
    )


def target(project: Project, record: Record, environment: str) -> str:
    """Return the commit that an environment follows to get a release; its own commit must be here."""
    if project.settings.local:
        return record.commit
    return pin.pinned(
        project, commit=record.commit, version=record.version, environment=environment,
        site=record.site, index=record.index,
    )  # fmt: skip


def deploy(project: Project, environment: str, version: str = "") -> Move:
    """Return what deploys a version ("": the one checked out); nothing is moved yet, see `carry_out`.

    Raises `UsageError` for an environment that is not declared and `ReleaseError` where the release does not
    hold, or was not where it has to be first.
    """
    check_environment(project, environment)
    version = version or _checked_out(project)
    release = releases.find(project, version)
    releases.judge(version, releases.parts_of(project, version, release))
    _check_after(project, environment, version)
    commit = target(project, release.record, environment)
    return _move(project, environment, look(project, environment), release.record, commit)


def rollback(project: Project, environment: str) -> Move:
    """Return what gives an environment back what it had before; nothing is moved yet.

    Raises `UsageError`, and `ReleaseError` where there is nothing to go back to, or its images are gone.
    """
    check_environment(project, environment)
    refs = look(project, environment)
    last = read(project, refs, last_ref(environment))
    if last is None or not last.version:
        raise ReleaseError(
            f"there is nothing to roll {environment} back to",
            cause=f"{REMOTE} has no tag last/{environment}/deploy"
            if last is None
            else f"last/{environment}/deploy is none of haybale's: somebody made it by hand",
            hint=f"just deploy {environment} VERSION",
        )
    record = releases.find(project, last.version).record
    wrong = releases.holds(project, record)
    if record.digest != last.record:
        wrong = f"the record of {last.version} is another one than it had"
    elif target(project, record, environment) != last.commit:
        wrong = f"last/{environment}/deploy points to {last.commit[:12]}, which is not {last.version}"
    if wrong:
        raise ReleaseError(
            f"{environment} can't go back to {last.version}",
            cause=wrong,
            hint=f"just verify-release {last.version}; or deploy another version",
        )
    # From the one look: where somebody deploys meanwhile, the way back is another one.
    return _move(project, environment, refs, record, last.commit, back=True)


def _checked_out(project: Project) -> str:
    found = str(read_version(project.root, os.environ))
    known = releases.published(project)
    if found not in known:
        raise ReleaseError(
            f"{found}, which is checked out, is not published",
            cause=f"the newest version on {REMOTE} is {known[0] if known else 'none'}",
            hint="name the version: just deploy ENVIRONMENT VERSION",
        )
    return found


def _check_after(project: Project, environment: str, version: str) -> None:
    before = project.settings.environments[environment].after
    if not before:
        return
    there = read(project, look(project, before), deploy_ref(before))
    if there is None or version not in there.deployed:
        raise ReleaseError(
            f"{version} was not in {before} yet",
            cause=f"{environment} takes only what was deployed to {before} before"
            f" (there now: {there.version if there else 'nothing'})",
            hint=f"just deploy {before} {version}",
        )


def _move(
    project: Project,
    environment: str,
    refs: Mapping[str, str],
    record: Record,
    commit: str,
    *,
    back: bool = False,
) -> Move:
    """Return what moves from what the remote has (`refs`)."""
    now = read(project, refs, deploy_ref(environment))
    plain = Move(
        environment=environment, version=record.version, commit=commit,
        before=now.version or now.commit[:12] if now else "", moves={},
    )  # fmt: skip
    if now and (now.commit, now.version, now.record) == (commit, record.version, record.digest):
        return plain
    if not git.has_identity(project.root):
        raise PrerequisiteError(
            "git does not know who deploys here",
            cause="neither user.name and user.email nor GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL are set",
            hint="git config --global user.name NAME; git config --global user.email MAIL",
        )
    deployed = now.deployed if now else ()
    if not deployed:  # somebody moved or removed the tag by hand
        last = read(project, refs, last_ref(environment))
        deployed = last.deployed if last else ()
    said = message(environment, record, back=back, deployed=deployed)
    by = git.committer_identity(project.root)
    tag = git.create_tag_object(project.root, f"{environment}/deploy", commit, said, by=by)
    moved = dict(moves(environment, refs, tag))
    if now and now.commit == commit:
        # It is there already, under a tag that does not say so: what was there before stays the way back.
        moved.pop(last_ref(environment))
    return Move(**{**vars(plain), "moves": moved})


def carry_out(project: Project, move: Move) -> None:
    """Move the refs, all or none.

    Raises `ReleaseError` where somebody else deployed meanwhile (it says who and what), or where the remote
    did not take it; then nothing is moved.
    """
    if not move.moves:
        return
    done: process.Completed | None = None
    for attempt in range(remote.ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(*remote.PAUSE))  # noqa: S311 - no secret
        done = git.push(project.root, REMOTE, move.moves)
        if done.ok:
            return
        # The answer says little about what became of it: it may have been lost on its way.
        refs = look(project, move.environment)
        if _arrived(refs, move):
            return
        if any(refs.get(ref, "") != now for ref, (now, _) in move.moves.items()):
            raise _lost(project, move, refs)
    raise ReleaseError(
        f"{REMOTE} did not take the deployment of {move.version} to {move.environment};"
        " both tags are as they were",
        cause="a rule or a hook refuses it, or the push's credentials may not write",
        hint="see what it says, mend that and try again",
        log=done.stderr.strip() if done else "",
    )


def _arrived(refs: Mapping[str, str], move: Move) -> bool:
    """Whether a deployment is on the remote; somebody may have deployed something else since."""
    deploy, last = deploy_ref(move.environment), last_ref(move.environment)
    _, becomes = move.moves[deploy]
    return becomes in {refs.get(deploy), refs.get(last)}


def _lost(project: Project, move: Move, refs: Mapping[str, str]) -> ReleaseError:
    there = read(project, refs, deploy_ref(move.environment))
    who = there.by if there and there.by else "somebody"
    what = f"{who} deployed {there.version or there.commit[:12]}" if there else "somebody removed its tag"
    return ReleaseError(
        f"{move.version} was not deployed to {move.environment}: {what} first",
        cause="two deployments were on their way at the same time; this one changed nothing",
        hint=f"just status, and if it still should be: just deploy {move.environment} {move.version}",
    )


def shown(move: Move) -> list[str]:
    """Return the moves for people, a line each."""
    names = {"": "nothing"}
    return [
        f"{ref.removeprefix('refs/tags/')}: {names.get(now, now[:12])} -> {becomes[:12]}"
        for ref, (now, becomes) in move.moves.items()
    ]
