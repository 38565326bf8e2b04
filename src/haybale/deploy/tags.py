"""Deploying: two tags move, in one push, or none does.

An environment follows the tag ENV/deploy; last/ENV/deploy remembers what it was, for the way back
(docs/deploy.md). Which refs change is decided by a pure function from what the remote has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haybale.checkout import read_version
from haybale.deploy.commit import make_deployment_commit
from haybale.errors import PrerequisiteError, ReleaseError, UsageError
from haybale.images.store import open_store
from haybale.release import verification
from haybale.release.record import find_release, is_before_haybale, published_versions
from haybale.release.remote import REMOTE, fetch_refs, push_refs, remote_refs
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.config import Project
    from haybale.release.record import Release, ReleaseRecord
    from haybale.release.remote import RefChanges, Refs

# Versions that an environment's tag remembers.
REMEMBERED = 100


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What an environment's tag says: hash of the tag, commit behind it, version, record's digest, who, when.

    `since` is in seconds since 1970. `deployed` are the versions that were there, the last one last. What the
    tag does not say is None: then it is none of haybale's.
    """

    tag: str
    commit: str
    version: str | None
    record: str | None
    by: str | None
    since: int | None
    deployed: tuple[str, ...]

    @property
    def label(self) -> str:
        """The version, else the beginning of the commit."""
        return self.version or self.commit[:12]


@dataclass(frozen=True, kw_only=True)
class DeploymentPlan:
    """What is to be done for an environment: the version that it gets, and the refs that change.

    `before` is what it has now, None for nothing. No ref changes where it has that version already. `notes`
    say what a person should know before that.
    """

    environment: str
    version: str
    commit: str
    before: str | None
    changes: RefChanges
    notes: tuple[str, ...] = ()


def deploy_tag(environment: str) -> str:
    """Return the tag that an environment follows."""
    return f"{environment}/deploy"


def deploy_ref(environment: str) -> str:
    """Return the ref of the tag that an environment follows."""
    return f"refs/tags/{deploy_tag(environment)}"


def last_ref(environment: str) -> str:
    """Return the ref that remembers what the environment followed before."""
    return f"refs/tags/last/{deploy_tag(environment)}"


def compute_changes(environment: str, refs: Refs, tag: str) -> RefChanges:
    """Return which refs change so that an environment follows `tag`, from those that the remote has now."""
    deploy, last = deploy_ref(environment), last_ref(environment)
    now = refs.get(deploy)
    if now is None:
        return {deploy: ("", tag)}
    return {last: (refs.get(last, ""), now), deploy: (now, tag)}


def tag_message(
    environment: str, record: ReleaseRecord, digest: str, *, is_rollback: bool, deployed: Sequence[str]
) -> str:
    """Return the message of an environment's tag; `digest` is the record's."""
    version = record.version
    subject = f"Roll {environment} back to {version}" if is_rollback else f"Deploy {version} to {environment}"
    remembered = [*(each for each in deployed if each != version), version][-REMEMBERED:]
    return "\n".join([
        subject, "", f"version: {version}", f"commit: {record.commit}", f"record: {digest}",
        f"deployed: {' '.join(remembered)}",
    ])  # fmt: skip


def raise_if_undeclared(project: Project, environment: str) -> None:
    """Raise `UsageError` where an environment is not declared; git has not seen the name by then."""
    known = project.settings.environments
    if environment not in known:
        raise UsageError(
            f"there is no environment {environment!r}",
            cause=f"declared are: {', '.join(known) or 'none'}",
            hint="name one of them, or declare it: [tool.haybale.environments.NAME] in pyproject.toml",
        )


def read_environment_refs(project: Project, environment: str) -> dict[str, str]:
    """Return the two refs of an environment that the remote has, with what they point to (NAME^{})."""
    return remote_refs(project.root, REMOTE, deploy_ref(environment), last_ref(environment))


def read_deployment(project: Project, refs: Refs, ref: str) -> Deployment | None:
    """Return what a tag of an environment says, None where the remote has no such tag; `ReleaseError`."""
    tag = refs.get(ref)
    if tag is None:
        return None
    found = git.read_tag(project.root, tag)
    if found is None:
        fetch_refs(project.root, REMOTE, ref)
        found = git.read_tag(project.root, tag)
    lines = found.message.splitlines() if found else ()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    return Deployment(
        tag=tag,
        commit=refs.get(f"{ref}^{{}}", tag),
        version=fields.get("version"),
        record=fields.get("record"),
        by=(found.tagger or None) if found else None,
        since=(found.time or None) if found else None,
        deployed=tuple(fields.get("deployed", "").split()),
    )


def is_from_before_haybale(
    project: Project,
    deployment: Deployment,
    last: Deployment | None,
    records: Mapping[str, ReleaseRecord | None],
) -> bool:
    """Return whether an environment's tag is older than haybale there, and not one that was moved by hand.

    `last` is what the environment had before, `records` those of the published versions.
    """
    if deployment.version or (last and last.version):
        return False
    return is_before_haybale(project.root, deployment.commit, records)


def deployment_commit(project: Project, record: ReleaseRecord, environment: str) -> str:
    """Return the commit that an environment follows to get a release; its own commit must be here."""
    if not open_store(project).is_shared:
        return record.commit
    return make_deployment_commit(
        project, commit=record.commit, version=record.version, environment=environment,
        site=record.site, index=record.index,
    )  # fmt: skip


def plan_deployment(project: Project, environment: str, version: str) -> DeploymentPlan:
    """Return what deploys a version; nothing is changed yet.

    Raises `UsageError` for an environment that is not declared and `ReleaseError` where the release is not
    what its record says, or was not where it has to be first.
    """
    raise_if_undeclared(project, environment)
    release = find_release(project.root, version)
    verification.raise_if_invalid(version, verification.check_release(project, version, release))
    _raise_if_too_early(project, environment, version)
    commit = deployment_commit(project, release.record, environment)
    return plan_changes(project, environment, read_environment_refs(project, environment), release, commit)


def plan_rollback(project: Project, environment: str) -> DeploymentPlan:
    """Return what gives an environment back what it had before; nothing is changed yet.

    Raises `UsageError`, and `ReleaseError` where there is nothing to go back to, or its images are gone.
    """
    raise_if_undeclared(project, environment)
    refs = read_environment_refs(project, environment)
    last = read_deployment(project, refs, last_ref(environment))
    if last is None or not last.version:
        tag, hint = f"last/{deploy_tag(environment)}", f"`haybale deploy {environment} VERSION`"
        cause = f"{REMOTE} has no tag {tag}"
        if last:
            cause = f"{tag} is none of haybale's, so it is not known which images that was"
            hint += (
                f"; or move the tag yourself: git push --force {REMOTE} {last.tag}:{deploy_ref(environment)}"
            )
        raise ReleaseError(f"there is nothing to roll {environment} back to", cause=cause, hint=hint)
    release = find_release(project.root, last.version)
    problem = verification.find_image_problem(project, release.record)
    if release.digest != last.record:
        problem = f"the record of {last.version} is another one than it had"
    elif deployment_commit(project, release.record, environment) != last.commit:
        problem = f"last/{environment}/deploy points to {last.commit[:12]}, which is not {last.version}"
    if problem:
        raise ReleaseError(
            f"{environment} cannot go back to {last.version}",
            cause=problem,
            hint=f"`haybale verify-release {last.version}`; or deploy another version",
        )
    # From the refs read above: where somebody deploys meanwhile, the way back is another one.
    return plan_changes(project, environment, refs, release, last.commit, is_rollback=True)


def checked_out_version(project: Project, env: Mapping[str, str]) -> str:
    """Return the version that is checked out; raises `ReleaseError` where it is not published."""
    version, known = str(read_version(project.root, env)), published_versions(project.root)
    if version not in known:
        raise ReleaseError(
            f"{version}, which is checked out, is not published",
            cause=f"the newest version on {REMOTE} is {known[0] if known else 'none'}",
            hint="name the version: `haybale deploy ENVIRONMENT VERSION`"
            if known
            else "publish it: `haybale pipeline --publish`",
        )
    return version


def _raise_if_too_early(project: Project, environment: str, version: str) -> None:
    """Raise `ReleaseError` where a version was not in the environment that comes before this one."""
    before = project.settings.environments[environment].after
    if not before:
        return
    deployment = read_deployment(project, read_environment_refs(project, before), deploy_ref(before))
    if deployment is None or version not in deployment.deployed:
        current = deployment.label if deployment else "nothing"
        raise ReleaseError(
            f"{version} was not in {before} yet",
            cause=f"{environment} takes only what was deployed to {before} before (it has {current} now)",
            hint=f"`haybale deploy {before} {version}`",
        )


def plan_changes(
    project: Project,
    environment: str,
    refs: Refs,
    release: Release,
    commit: str,
    *,
    is_rollback: bool = False,
) -> DeploymentPlan:
    """Return what deploys a release by this commit, from what the remote has (`refs`)."""
    record, now = release.record, read_deployment(project, refs, deploy_ref(environment))
    plan = DeploymentPlan(
        environment=environment, version=record.version, commit=commit,
        before=now.label if now else None, changes={},
    )  # fmt: skip
    if now and (now.commit, now.version, now.record) == (commit, record.version, release.digest):
        return plan
    by = git.committer_identity(project.root)
    if by is None:
        raise PrerequisiteError(
            "git does not know who deploys here",
            cause="neither user.name and user.email nor GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL are set",
            hint="git config --global user.name NAME; git config --global user.email MAIL",
        )
    deployed = now.deployed if now else ()
    if not deployed:  # somebody moved or removed the tag by hand
        last = read_deployment(project, refs, last_ref(environment))
        deployed = last.deployed if last else ()
    message = tag_message(environment, record, release.digest, is_rollback=is_rollback, deployed=deployed)
    tag = git.create_tag_object(project.root, deploy_tag(environment), commit, message, by=by)
    changes = dict(compute_changes(environment, refs, tag))
    if now and now.commit == commit:
        # It is there already, under a tag that does not say so: what was there before stays the way back.
        changes.pop(last_ref(environment))
    has_foreign_tag = now is not None and not now.version and now.commit != commit
    notes = (_foreign_tag_note(environment, now.label),) if now and has_foreign_tag else ()
    return replace(plan, changes=changes, notes=notes)


def _foreign_tag_note(environment: str, commit: str) -> str:
    """Return what is told where an environment followed a tag that is none of haybale's."""
    tag = deploy_tag(environment)
    kept = f"last/{tag} keeps it, and rollback cannot go back to it"
    return f"{tag} was none of haybale's (commit {commit}): {kept}"


def push_deployment(project: Project, plan: DeploymentPlan) -> None:
    """Change the refs, all or none.

    Raises `ReleaseError` where somebody else deployed meanwhile (it says who and what), or where the remote
    did not take it; then nothing is changed.
    """
    if not plan.changes:
        return
    deploy, last = deploy_ref(plan.environment), last_ref(plan.environment)
    _, tag = plan.changes[deploy]

    def raise_if_lost(refs: Refs) -> None:
        if all(refs.get(ref, "") == before for ref, (before, _) in plan.changes.items()):
            return
        now = read_deployment(project, refs, deploy)
        winner = f"{now.by or 'somebody'} deployed {now.label}" if now else "its tag was removed"
        raise ReleaseError(
            f"{plan.version} was not deployed to {plan.environment}: {winner} first",
            cause="the environment's tags are other ones than when this deployment began; it changed nothing",
            hint=f"`haybale status`, and if it still should be:"
            f" `haybale deploy {plan.environment} {plan.version}`",
        )

    push_refs(
        project.root, REMOTE, plan.changes,
        name=f"the deployment of {plan.version} to {plan.environment}",
        watched=(deploy, last),
        # Somebody may have deployed something else since.
        has_arrived=lambda refs: tag in {refs.get(deploy), refs.get(last)},
        raise_if_lost=raise_if_lost,
    )  # fmt: skip
