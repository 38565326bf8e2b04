"""git: what is checked out, what a remote has, and what a release makes of both."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError, ReleaseError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# How long a remote may take, in seconds: to say what it has, and to take or give commits.
QUESTION = 60
TRANSFER = 600

# The files in git's own folder that say what was begun and not finished (git's wt-status.c).
UNFINISHED: Mapping[str, str] = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """The commit that is checked out.

    `revision` is its full hash (with `-dirty` where files differ from it), `time` its committer time in
    seconds since 1970, `source` the URL of the remote `origin`, without credentials, or "".
    """

    revision: str
    time: int
    source: str


# Where there is no git, images still get a time, and the same one every time.
NO_COMMIT = Head(revision="unknown", time=0, source="")


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit: its full hash, those of its parents, and its whole message."""

    hash: str
    parents: tuple[str, ...]
    message: str

    @property
    def subject(self) -> str:
        """The message's first line."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True, kw_only=True)
class RemoteTag:
    """A tag on a remote: its own hash, and that of the commit that it points to."""

    hash: str
    commit: str


def read_head(root: Path) -> Head:
    """Return the commit checked out in `root`; `NO_COMMIT` outside of a repository or without git."""
    if process.find_executable("git") is None:
        return NO_COMMIT
    shown = run(root, "show", "-s", "--format=%H %ct", "HEAD")
    if not shown.ok:
        return NO_COMMIT
    revision, time = shown.stdout.split()
    status = run(root, "status", "--porcelain", "--untracked-files=no")
    remote = process.run(["git", "-C", str(root), "remote", "get-url", "origin"])
    return Head(
        revision=f"{revision}-dirty" if status.stdout.strip() else revision,
        time=int(time),
        source=without_credentials(remote.stdout.strip()) if remote.ok else "",
    )


def without_credentials(url: str) -> str:
    """Return a remote's URL without user and password; "" for a path on this machine."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if "@" in url and ":" in url else ""
    if scheme == "file":
        return ""
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def scrub_credentials(text: str) -> str:
    """Return what git said without the users and passwords of the URLs in it."""
    return re.sub(r"://[^/\s]*@", "://", text)


def run(
    root: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> process.Completed:
    """Run git in `root`; the caller judges the exit code. What it says has no credentials in it."""
    done = process.run(["git", "-C", str(root), *arguments], env=env, stdin=stdin, timeout=timeout)
    return replace(done, stdout=scrub_credentials(done.stdout), stderr=scrub_credentials(done.stderr))


def check_output(
    root: Path, *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> str:
    """Return what git says, without the space around it; `PrerequisiteError` where it fails."""
    done = run(root, *arguments, env=env, stdin=stdin)
    if not done.ok:
        raise PrerequisiteError(
            f"git {arguments[0]} failed in {root}",
            cause=done.stderr.strip() or f"it exited with {done.code}",
            hint="see what git says there (git status)",
        )
    return done.stdout.strip()


def resolve_commit(root: Path, name: str) -> str:
    """Return the hash of the commit that a name stands for (a tag's is peeled); "" where there is none."""
    done = run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return done.stdout.strip() if done.ok else ""


def resolve_object(root: Path, name: str) -> str:
    """Return the hash that a name stands for (an annotated tag's own, too); "" where there is none."""
    done = run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    return done.stdout.strip() if done.ok else ""


def read_commit(root: Path, name: str = "HEAD") -> Commit:
    """Return a commit; `PrerequisiteError` where there is none."""
    shown = check_output(root, "show", "-s", "--no-show-signature", "--format=%H%n%P%n%B", name)
    commit, parents, message = (*shown.split("\n", 2), "", "")[:3]
    return Commit(hash=commit, parents=tuple(parents.split()), message=message)


def current_branch(root: Path) -> str:
    """Return the branch that is checked out; "" where HEAD is detached."""
    return run(root, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()


def branches_at(root: Path, commit: str) -> tuple[str, ...]:
    """Return the names of the branches that point to a commit, here and as last seen on remotes."""
    listed = check_output(
        root, "for-each-ref", f"--points-at={commit}", "--format=%(refname)", "refs/heads", "refs/remotes"
    )
    names = [name.split("/", 2 if name.startswith("refs/heads/") else 3)[-1] for name in listed.splitlines()]
    return tuple(dict.fromkeys(name for name in names if name != "HEAD"))


def find_upstream(root: Path, branch_name: str) -> tuple[str, str]:
    """Return the remote that a branch belongs to, and the full name of its ref there.

    What is configured for it, else the branch of the same name on `origin` or on the only remote; the remote
    is "" where there is none.
    """
    remote = run(root, "config", f"branch.{branch_name}.remote").stdout.strip()
    ref = run(root, "config", f"branch.{branch_name}.merge").stdout.strip()
    if remote and remote != "." and ref:
        return remote, ref
    known = check_output(root, "remote").splitlines()
    remote = "origin" if "origin" in known else known[0] if len(known) == 1 else ""
    return remote, f"refs/heads/{branch_name}"


def unfinished_operation(root: Path) -> str:
    """Return what was begun here and not finished (a merge, a rebase, ...); "" where nothing was."""
    for name, what in UNFINISHED.items():
        if (root / check_output(root, "rev-parse", "--git-path", name)).exists():
            return what
    return ""


def changed_files(root: Path) -> tuple[str, ...]:
    """Return the tracked files that differ from HEAD, as paths from the repository's top."""
    done = run(
        root, "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames"
    )
    if not done.ok:
        raise PrerequisiteError(f"git status failed in {root}", cause=done.stderr.strip())
    return tuple(entry[3:] for entry in done.stdout.split("\0") if entry)


def untracked_files(root: Path) -> tuple[str, ...]:
    """Return what git neither has nor ignores (folders with a slash), but for what tools leave at the top."""
    left = (":!.haybale", ":!.nox", ":!reports")
    found = check_output(
        root, "ls-files", "--others", "--exclude-standard", "--directory", "-z", "--", ".", *left
    )
    return tuple(name for name in found.split("\0") if name)


def is_ancestor(root: Path, ancestor: str, of: str) -> bool:
    """Whether a commit is another one's ancestor (or that one itself), as far as this clone goes back."""
    return run(root, "merge-base", "--is-ancestor", ancestor, of).ok


def is_shallow(root: Path) -> bool:
    """Whether this clone does not go back to the beginning."""
    return check_output(root, "rev-parse", "--is-shallow-repository") == "true"


def has_identity(root: Path) -> bool:
    """Whether git was told who makes commits here; a guess of its own from the machine's name is none."""
    asked = [
        run(root, "-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
        for who in ("AUTHOR", "COMMITTER")
    ]
    return all(answer.ok for answer in asked)


def restore_files(root: Path, files: Sequence[str]) -> None:
    """Give files (paths from `root`) the content that they have in HEAD; those that git knows."""
    known = run(root, "ls-files", "-z", "--", *files).stdout.split("\0")[:-1]
    if known:
        check_output(root, "checkout", "--quiet", "HEAD", "--", *known)


def remote_refs(root: Path, remote: str, *refs: str) -> dict[str, str]:
    """Return the refs that a remote has: full name -> hash; those of tags also peeled, as NAME^{}.

    Only what these names or patterns match. A remote that can't be asked is a `ReleaseError`, never "absent".
    """
    wanted = [*refs, *(f"{ref}^{{}}" for ref in refs if ref.startswith("refs/tags/"))]
    done = run(root, "ls-remote", remote, *wanted, timeout=QUESTION)
    if not done.ok:
        raise ReleaseError(
            f"the remote {remote} could not be asked what it has",
            cause=done.stderr.strip() or f"git ls-remote exited with {done.code}",
            hint=f"see whether `git ls-remote {remote}` works, and try again",
        )
    # A pattern matches at the end of a name: refs/heads/main is also that of refs/x/refs/heads/main.
    pairs = (line.split("\t", 1) for line in done.stdout.splitlines())
    return {name: found for found, name in pairs if name.startswith("refs/")}


def remote_branch(root: Path, remote: str, branch_name: str) -> str:
    """Return the commit that a remote's branch is at, "" where it has no such branch; `ReleaseError`."""
    return remote_refs(root, remote, f"refs/heads/{branch_name}").get(f"refs/heads/{branch_name}", "")


def remote_tags(root: Path, remote: str, pattern: str) -> dict[str, RemoteTag]:
    """Return a remote's tags by their names, those that match a pattern (`v1.2.3`, `v*`); `ReleaseError`."""
    return parse_tags(remote_refs(root, remote, f"refs/tags/{pattern}"))


def parse_tags(refs: Mapping[str, str]) -> dict[str, RemoteTag]:
    """Return the tags among a remote's refs."""
    return {
        name.removeprefix("refs/tags/"): RemoteTag(hash=found, commit=refs.get(f"{name}^{{}}", found))
        for name, found in refs.items()
        if name.startswith("refs/tags/") and not name.endswith("^{}")
    }


def fetch(root: Path, remote: str, *refs: str) -> process.Completed:
    """Get what refs of a remote point to, and change no ref here, not even those that mirror the remote's."""
    quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=")
    return run(root, "fetch", *quiet, remote, *refs, timeout=TRANSFER)


def push(root: Path, remote: str, refs: Mapping[str, tuple[str, str]]) -> process.Completed:
    """Set refs of a remote, all or none: full name -> (what it must be now, "" for absent; what it becomes).

    A code that is not 0 says little: the answer may have been lost, or come too late. Other tags never go
    along, whatever push.followTags says.
    """
    leases = [f"--force-with-lease={name}:{now}" for name, (now, _) in refs.items()]
    changes = [f"{becomes}:{name}" for name, (_, becomes) in refs.items()]
    command = ["push", "--quiet", "--atomic", "--no-follow-tags", *leases, remote, *changes]
    try:
        return run(root, *command, timeout=TRANSFER)
    except PrerequisiteError as late:
        return process.Completed(command=("git", *command), code=1, stderr=late.message)


def hookless_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep git from running hooks, also where another tool calls it.

    Hooks are for what a person does; the commands that are given these make what nobody has seen yet.
    """
    number = int(env.get("GIT_CONFIG_COUNT", "0") or "0")
    return {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": "core.hooksPath",
        f"GIT_CONFIG_VALUE_{number}": os.devnull,
    }


def add_worktree(root: Path, folder: Path, commit: str) -> None:
    """Check a commit out into a folder of its own, on no branch; `PrerequisiteError`."""
    command = ["worktree", "add", "--quiet", "--detach", str(folder), commit]
    check_output(root, *command, env=hookless_environment(os.environ))


def forget_worktree(root: Path, folder: Path) -> None:
    """Let git forget a folder of `add_tree`; nothing where git does not know it.

    Where git was killed while it made the folder, its own commands may refuse what it wrote, and fail for all
    other folders as well (2.39: a `commondir` that is empty). Source: gitrepository-layout(5), worktrees.
    """
    kept = root / check_output(root, "rev-parse", "--git-path", "worktrees")
    for each in kept.glob("*/gitdir"):
        # A path, in whatever bytes the file system has.
        points_to = each.parent / os.fsdecode(each.read_bytes()).strip()
        if points_to.name == ".git" and points_to.parent.resolve() == folder.resolve():
            shutil.rmtree(each.parent)
    with contextlib.suppress(OSError):
        kept.rmdir()


def create_tag_object(root: Path, name: str, commit: str, message: str, *, by: str = "") -> str:
    """Make an annotated tag that no ref points to yet, and return its hash.

    `by` is who makes it, and when, as `identity` gives it; "": the commit's committer.
    """
    by = by or check_output(root, "log", "-1", "--format=%cn <%ce> %cd", "--date=raw", commit)
    text = f"object {commit}\ntype commit\ntag {name}\ntagger {by}\n\n{message.strip()}\n"
    return check_output(root, "mktag", stdin=text)


def committer_identity(root: Path) -> str:
    """Return who works here, and the time: NAME <MAIL> SECONDS ZONE; `PrerequisiteError` for nobody."""
    return check_output(root, "var", "GIT_COMMITTER_IDENT")


def tag_time(root: Path, tag: str) -> int:
    """Return when an annotated tag was made, by its hash, in seconds since 1970; 0 where it is not known."""
    done = run(root, "cat-file", "tag", tag)
    found = re.search(r"^tagger .*> (\d+) [+-]\d+$", done.stdout.partition("\n\n")[0], re.MULTILINE)
    return int(found[1]) if done.ok and found else 0


def count_commits(root: Path, after: str, up_to: str) -> int:
    """Return how many commits there are after one, up to another."""
    return int(check_output(root, "rev-list", "--count", f"{after}..{up_to}"))


def tagger(root: Path, tag: str) -> str:
    """Return who made an annotated tag, by its hash; "" where it is not here, or is a light one."""
    done = run(root, "cat-file", "tag", tag)
    found = re.search(r"^tagger (.*?)(?: <.*)?$", done.stdout.partition("\n\n")[0], re.MULTILINE)
    return found[1] if done.ok and found else ""


def tag_message(root: Path, tag: str) -> str:
    """Return the message of an annotated tag, by its hash; "" where it is not here, or is a light one."""
    done = run(root, "cat-file", "tag", tag)
    return done.stdout.partition("\n\n")[2] if done.ok else ""


def local_version_tags(root: Path) -> dict[str, str]:
    """Return the tags v... here: name -> the commit that it points to."""
    listed = check_output(
        root, "for-each-ref", "--format=%(refname:short) %(objectname) %(*objectname)", "refs/tags/v*"
    )
    rows = (line.split() for line in listed.splitlines())
    return {name: hashes[-1] for name, *hashes in rows}


def file_differs(root: Path, one: str, other: str, file: str) -> bool:
    """Whether a file differs between two commits; yes where one of them is not in this clone."""
    return not run(root, "diff", "--quiet", one, other, "--", file).ok


def update_ref(root: Path, name: str, becomes: str, *, now: str | None = None) -> bool:
    """Set a ref here; with `now` ("" for absent) only where it is that. Whether it was set."""
    absent = "0" * len(becomes)
    old = [] if now is None else [now or absent]
    return run(root, "update-ref", name, becomes, *old).ok


def fast_forward(root: Path, commit: str) -> bool:
    """Move the branch that is checked out forward to a commit, with its files; whether that went.

    It goes only where no change of the user's is in the way.
    """
    return run(root, "merge", "--quiet", "--ff-only", commit, env=hookless_environment(os.environ)).ok


# Paths are what they say, also where they have a * or a [ in them.
EXACT = ("--literal-pathspecs",)


@dataclass(frozen=True, kw_only=True)
class CommitSummary:
    """A commit that touched a file: its hash, the day it was made on (ISO 8601), author and subject."""

    hash: str
    date: str
    author: str
    subject: str


def last_change(
    root: Path, paths: Sequence[str], since: str = "", *, upto: str = "HEAD", text: str = ""
) -> CommitSummary | None:
    """Return the last commit up to `upto` that touched one of these paths (from `root`), None for none.

    With `since` (a commit that this clone has), only those that it does not have. With `text`, only those
    that added or removed it there.
    """
    span = f"{since}..{upto}" if since else upto
    form = "--format=%H%x00%cs%x00%an%x00%s"
    # Also what came in by a merge's own resolution; git leaves merges out otherwise.
    found = run(root, *EXACT, "log", "-1", "--diff-merges=cc", *_only(text), form, span, "--", *paths)
    if not found.ok or not found.stdout.strip():
        return None
    hashed, date, author, subject = found.stdout.splitlines()[0].split("\0")
    return CommitSummary(hash=hashed, date=date, author=author, subject=subject)


def uncommitted_files(root: Path, paths: Sequence[str], *, text: str = "") -> frozenset[str]:
    """Return those of these files (from `root`) that are not as in the commit checked out.

    New ones too, and those that git ignores: nobody who clones the repository has them. With `text`, only
    those of git's files where it was added or removed.
    """
    names = ("--name-only", "-z", "--relative", "--no-renames")
    differ = run(root, *EXACT, "diff", *names, *_only(text), "HEAD", "--", *paths).stdout
    unknown = "" if text else run(root, *EXACT, "ls-files", "-z", "--others", "--", *paths).stdout
    return frozenset(f"{differ}{unknown}".split("\0")) - {""}


def _only(text: str) -> list[str]:
    return [f"-S{text}"] if text else []


def commit_date(root: Path, commit: str) -> str:
    """Return the day that a commit was made on (ISO 8601); "" where this clone does not have it."""
    found = resolve_commit(root, commit) if commit else ""
    return check_output(root, "show", "-s", "--no-show-signature", "--format=%cs", found) if found else ""


def shallow_roots(root: Path) -> frozenset[str]:
    """Return the commits that a shallow clone begins with: to git, they brought everything that they have."""
    noted = root / run(root, "rev-parse", "--git-path", "shallow").stdout.strip()
    return frozenset(noted.read_text(encoding="ascii").split()) if noted.is_file() else frozenset()


def read_file_at(root: Path, commit: str, path: str) -> str | None:
    """Return a file's text in a commit (path from the repository's top), None where it has no such file."""
    done = run(root, "cat-file", "blob", f"{commit}:{path}")
    return done.stdout if done.ok else None


def create_commit(root: Path, parent: str, path: str, text: str, message: str) -> str:
    """Make a commit on top of another, in which one file has this text, and return its hash.

    No ref points to it, nothing that is checked out changes, and the same arguments give the same hash on
    every machine: names and time are those of the parent's committer. The message is ASCII.
    """
    name, mail, time = check_output(root, "log", "-1", "--format=%cn%n%ce%n%cd", "--date=raw", parent).split(
        "\n"
    )
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", name), ("EMAIL", mail), ("DATE", time))
    }
    blob = check_output(root, "hash-object", "-w", "--stdin", stdin=text)
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        check_output(root, "read-tree", parent, env=index)
        check_output(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        tree = check_output(root, "write-tree", env=index)
    # Another encoding would stand in the commit, and change its hash.
    plain = ("-c", "i18n.commitEncoding=UTF-8")
    return check_output(
        root, *plain, "commit-tree", tree, "-p", parent, env=who, stdin=f"{message.strip()}\n"
    )


def list_commits(root: Path, after: str, up_to: str) -> tuple[CommitSummary, ...]:
    """Return the commits after one ("": from the first) up to another, the newest first, without merges."""
    span = f"{after}..{up_to}" if after else up_to
    shown = check_output(
        root, "log", "--no-merges", "--no-show-signature", "--format=%H%x00%cs%x00%an%x00%s", span
    )
    rows = (line.split("\0") for line in shown.splitlines())
    return tuple(CommitSummary(hash=row[0], date=row[1], author=row[2], subject=row[3]) for row in rows)
