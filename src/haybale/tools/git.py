"""git: what is checked out, what a remote has, and what a release makes of both.

What fails here is a `PrerequisiteError`, at a remote a `RemoteError`; callers say what that means to them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Seconds that a remote gets to list its refs, and to send or receive commits.
LIST_TIMEOUT = 60
TRANSFER_TIMEOUT = 600

# The files in git's own folder that mark an operation that is not finished (git's wt-status.c).
UNFINISHED: Mapping[str, str] = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}

# Take paths literally, also where they have a * or a [ in them.
LITERAL = "--literal-pathspecs"

# Not what tools leave at the top.
LEFT = (":!.haybale", ":!.nox", ":!reports")

# What people may configure that changes output which is read here (git-config(1)). Options of single commands
# undo the rest.
STEADY_OUTPUT = (
    "-c", "i18n.logOutputEncoding=UTF-8", "-c", "color.ui=false", "-c", "column.ui=never",
    "-c", "core.quotePath=false", "-c", "diff.relative=false", "-c", "log.showSignature=false",
)  # fmt: skip

# Do not make a name and an address of this machine's.
CONFIGURED = ("-c", "user.useConfigOnly=true")

# What `Commit` has of a commit; and `CommitSummary`, on one line.
COMMIT_FORMAT = "%H%x00%P%x00%ct%x00%B"
PARTS_OF_COMMIT = 4
SUMMARY_FORMAT = "--format=%H%x00%cs%x00%an%x00%s"


class RemoteError(PrerequisiteError):
    """A remote refused, failed or did not answer; it never means that a ref is absent."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit: its full hash, those of its parents, its whole message, its time in seconds since 1970."""

    hash: str
    parents: tuple[str, ...]
    message: str
    time: int = 0

    @property
    def subject(self) -> str:
        """The message's first line."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is checked out: a commit, a branch (None: HEAD is detached), and the tracked files that differ.

    `branches` are the names of all branches that point to the commit, here and as last seen on remotes.
    """

    commit: Commit
    branch: str | None
    branches: tuple[str, ...]
    changed_files: tuple[str, ...]

    @property
    def revision(self) -> str:
        """The commit's hash, with -dirty where tracked files differ from it."""
        return f"{self.commit.hash}-dirty" if self.changed_files else self.commit.hash


@dataclass(frozen=True, kw_only=True)
class CommitSummary:
    """A commit in one line: its hash, the day it was made on (ISO 8601), author and subject."""

    hash: str
    date: str
    author: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class Tag:
    """An annotated tag: its message, who made it, and when in seconds since 1970 (0: not known)."""

    message: str
    tagger: str
    time: int


@dataclass(frozen=True, kw_only=True)
class RemoteTag:
    """A tag on a remote: its own hash, and that of the commit that it points to."""

    hash: str
    commit: str


def run(
    root: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float | None = None,
) -> process.Completed:
    """Run git in `root`; the caller judges the exit code. Credentials are removed from the output."""
    command = ["git", "-C", str(root), *STEADY_OUTPUT, *arguments]
    done = process.run(command, env=env, stdin=stdin, timeout=timeout)
    return replace(done, stdout=scrub_credentials(done.stdout), stderr=scrub_credentials(done.stderr))


def check_output(root: Path, *arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Return what git prints, stripped; `PrerequisiteError` where it fails."""
    done = run(root, *arguments, env=env, stdin=stdin)
    if not done.ok:
        cause = done.stderr.strip() or f"it exited with {done.code}"
        hint = "see what git says there (git status)"
        raise PrerequisiteError(f"git {arguments[0]} failed in {root}", cause=cause, hint=hint)
    return done.stdout.strip()


def scrub_credentials(text: str) -> str:
    """Return a text without the users and passwords of the URLs in it."""
    return re.sub(r"://[^/\s]*@", "://", text)


def public_url(url: str) -> str | None:
    """Return a remote's URL without user and password; None for a path on this machine."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if "@" in url and ":" in url else None
    if scheme == "file":
        return None
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


# A remote in ssh's short form, [USER@]HOST:PATH (git-clone(1), "GIT URLS"): with a slash before the colon it
# would be a path. A letter alone is a drive of Windows; HOST::PATH names a remote helper.
SHORT_URL = re.compile(r"(?:[^@/:\s[]+@)?(?P<host>\[[^\]]+\]|[^/:@\s]{2,}):(?!:|//)/*(?P<path>.+)")

# Hosts that forges give to ssh, where that of their pages is another one.
SSH_HOSTS: Mapping[str, str] = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
    "vs-ssh.visualstudio.com": "dev.azure.com",
}


def pages_url(url: str) -> str | None:
    """Return the address of a remote's pages: https (or its own http), without user, password and .git.

    None for a path on this machine, and for what is no URL of a host.
    """
    scheme, separator, rest = url.partition("://")
    if separator:
        authority, _, path = rest.partition("/")
        authority = authority.rpartition("@")[2]
    else:
        found = SHORT_URL.fullmatch(url)
        if found is None:
            return None
        scheme, authority, path = "ssh", found["host"], found["path"]
        # [HOST:PORT]:PATH has a port; [::1]:PATH is an address.
        if authority.startswith("[") and authority.count(":") < 2:  # noqa: PLR2004 - of an IPv6 address
            authority = authority[1:-1].rpartition("@")[2]
    scheme, path = scheme.lower(), path.split("?")[0].split("#")[0].strip("/").removesuffix(".git")
    if (
        scheme not in {"http", "https", "ssh", "git", "git+ssh", "ssh+git", "git+https", "git+http"}
        or not path
    ):
        return None
    if scheme.endswith(("http", "https")):
        return f"{scheme.removeprefix('git+')}://{authority}/{path}" if authority else None
    # The port is that of ssh, not that of the pages.
    host = re.sub(r":\d*$", "", authority)
    host = SSH_HOSTS.get(host, host)
    azure = re.fullmatch(r"v3/([^/]+)/([^/]+)/([^/]+)", path) if host == "dev.azure.com" else None
    if azure:
        path = "{}/{}/_git/{}".format(*azure.groups())
    return f"https://{host}/{path}" if host else None


# Variables that keep git from running hooks, also where another tool calls it: hooks are for what a person
# does, and the commands that are given these make what nobody has seen yet.
WITHOUT_HOOKS = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": os.devnull,
}


def find_root(folder: Path) -> Path | None:
    """Return the top of the work tree that a folder lies in; None outside of one."""
    found = run(folder, "rev-parse", "--show-toplevel")
    return Path(found.stdout.rstrip("\n")) if found.ok else None


def default_branch(root: Path) -> str | None:
    """Return the branch that `origin` begins with, as it was when it was cloned; None where not known."""
    found = run(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    return found.stdout.strip().removeprefix("origin/") if found.ok else None


def read_head(root: Path) -> Head | None:
    """Return what is checked out in `root`; None without git, a repository or a commit."""
    if process.find_executable("git") is None:
        return None
    # Given explicitly, refs are listed also where log.excludeDecoration hides them.
    refs = [f"--decorate-refs={pattern}" for pattern in ("HEAD", "refs/heads/", "refs/remotes/")]
    form = f"--format=%D%x00{COMMIT_FORMAT}"
    shown = run(root, "log", "-1", "--no-show-signature", "--decorate=full", *refs, form)
    if not shown.ok:
        return None
    decorations, _, commit = shown.stdout.partition("\0")
    current, arrow, branch = decorations.partition(", ")[0].partition(" -> refs/heads/")
    names = decorations.removeprefix(f"{current} -> ").split(", ")
    return Head(
        commit=with_true_parents(root, _parse_commit(commit)),
        branch=branch if arrow else None,
        branches=_branch_names(names),
        changed_files=changed_files(root),
    )


def _branch_names(refs: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the branches among refs, local ones first, each once."""
    names = [ref.split("/", 2 if ref.startswith("refs/heads/") else 3)[-1] for ref in sorted(refs)]
    return tuple(dict.fromkeys(name for name in names if name != "HEAD"))


def read_commit(root: Path, name: str = "HEAD") -> Commit:
    """Return a commit; `PrerequisiteError` where there is none."""
    shown = check_output(root, "show", "-s", "--no-show-signature", f"--format={COMMIT_FORMAT}", name)
    return with_true_parents(root, _parse_commit(shown))


def with_true_parents(root: Path, commit: Commit) -> Commit:
    """Return a commit with the parents that its object names; where a shallow clone ends, git shows none."""
    if commit.parents:
        return commit
    header = check_output(root, "cat-file", "commit", commit.hash).partition("\n\n")[0]
    parents = tuple(line.split()[1] for line in header.splitlines() if line.startswith("parent "))
    return replace(commit, parents=parents)


def read_history(root: Path, most: int, *tags: str) -> list[tuple[Commit, tuple[str, ...]]]:
    """Return HEAD and the commits below it, by first parents, with the tags of each that match a pattern.

    Where a shallow clone ends, the last one has no parents (`with_true_parents`).
    """
    log = ("log", "--first-parent", "--no-show-signature", f"--max-count={most}", "-z", "--decorate=short")
    decorate = (f"--decorate-refs=refs/tags/{pattern}" for pattern in tags)
    shown = check_output(root, *log, *decorate, f"--format=%D%x01{COMMIT_FORMAT}", "HEAD")
    # -z ends each entry with a NUL, like the parts of it.
    parts = shown.split("\0")
    found = []
    for first, *others in zip(*[iter(parts)] * PARTS_OF_COMMIT, strict=False):
        names, _, commit = first.rpartition("\1")
        tagged = tuple(name.removeprefix("tag: ") for name in names.split(", ") if name.startswith("tag: "))
        found.append((_parse_commit("\0".join((commit, *others))), tagged))
    return found


def descendants(root: Path, commit: str, up_to: str) -> frozenset[str]:
    """Return the commits that contain one, as far as another one leads back to it."""
    return frozenset(check_output(root, "rev-list", "--ancestry-path", f"{commit}..{up_to}").split())


def _parse_commit(text: str) -> Commit:
    commit, parents, time, message = text.strip().split("\0")
    return Commit(hash=commit, parents=tuple(parents.split()), message=message, time=int(time))


def resolve_object(root: Path, name: str) -> str | None:
    """Return the hash that a name stands for (an annotated tag's own, too); None where there is none."""
    done = run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    return done.stdout.strip() if done.ok else None


def resolve_commit(root: Path, name: str) -> str | None:
    """Return the hash of the commit that a name stands for (a tag is peeled); None where there is none."""
    return resolve_object(root, f"{name}^{{commit}}")


def current_branch(root: Path) -> str | None:
    """Return the branch that is checked out; None where HEAD is detached."""
    # Not --short, which gives heads/NAME where a tag has the same name.
    return run(root, "symbolic-ref", "--quiet", "HEAD").stdout.strip().removeprefix("refs/heads/") or None


def changed_files(root: Path) -> tuple[str, ...]:
    """Return the tracked files that differ from HEAD, as paths from the repository's top."""
    options = ("--porcelain", "-z", "--untracked-files=no", "--no-renames")
    done = run(root, "--no-optional-locks", "status", *options)
    if not done.ok:
        raise PrerequisiteError(f"git status failed in {root}", cause=done.stderr.strip())
    return tuple(entry[3:] for entry in done.stdout.split("\0") if entry)


def untracked_files(root: Path) -> tuple[str, ...]:
    """Return the files that git neither has nor ignores, but for what tools leave at the top of `root`."""
    found = check_output(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".", *LEFT)
    return tuple(name for name in found.split("\0") if name)


def ignored_files(root: Path) -> tuple[str, ...]:
    """Return what git ignores (paths from `root`; folders with a slash), but for what tools leave at the top.

    Nothing outside of a repository.
    """
    options = ("--others", "--ignored", "--exclude-standard", "--directory", "-z")
    done = run(root, "ls-files", *options, "--", ".", *LEFT)
    return tuple(name for name in done.stdout.split("\0") if name) if done.ok else ()


def has_tracked_files(root: Path, folder: str) -> bool:
    """Whether git has files in a folder (from `root`)."""
    return bool(check_output(root, LITERAL, "ls-files", "-z", "--", folder))


def unignored(root: Path, paths: Sequence[str]) -> list[str]:
    """Return those of the paths (from `root`; a folder's ends with /) that git would not ignore."""
    done = run(root, "check-ignore", "--stdin", "-z", stdin="\0".join(paths))
    ignored = set(done.stdout.split("\0"))
    return [path for path in paths if path not in ignored]


def uncommitted_files(root: Path, paths: Sequence[str], *, text: str | None = None) -> frozenset[str]:
    """Return those of these files (from `root`) that are not as in the commit checked out.

    New ones too, and those that git ignores: nobody who clones the repository has them. With `text`, only
    those of git's files where it was added or removed.
    """
    names = ("--name-only", "-z", "--relative", "--no-renames")
    differ = run(root, LITERAL, "diff", *names, *_pickaxe(text), "HEAD", "--", *paths).stdout
    unknown = "" if text else run(root, LITERAL, "ls-files", "-z", "--others", "--", *paths).stdout
    return frozenset(f"{differ}{unknown}".split("\0")) - {""}


def unfinished_operation(root: Path) -> str | None:
    """Return the operation that was begun here and not finished (merge, rebase, ...); None for none."""
    names = [argument for name in UNFINISHED for argument in ("--git-path", name)]
    paths = check_output(root, "rev-parse", *names).splitlines()
    begun = (what for path, what in zip(paths, UNFINISHED.values(), strict=True) if (root / path).exists())
    return next(begun, None)


def restore_files(root: Path, files: Sequence[str]) -> None:
    """Give files (paths from `root`) the content that they have in HEAD; those that git knows."""
    known = run(root, "ls-files", "-z", "--", *files).stdout.split("\0")[:-1]
    if known:
        check_output(root, "checkout", "--quiet", "HEAD", "--", *known)


def fast_forward(root: Path, commit: str) -> bool:
    """Move the branch that is checked out forward to a commit, with its files; return whether that worked.

    It does only where no change of the user's is in the way.
    """
    env = WITHOUT_HOOKS
    return run(root, "merge", "--quiet", "--ff-only", commit, env=env).ok


def add_worktree(root: Path, folder: Path, commit: str) -> None:
    """Check a commit out into a folder of its own, on no branch; `PrerequisiteError`."""
    command = ["worktree", "add", "--quiet", "--detach", str(folder), commit]
    check_output(root, *command, env=WITHOUT_HOOKS)


def forget_worktree(root: Path, folder: Path) -> None:
    """Let git forget a folder of `add_worktree`; nothing where git does not know it.

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


def setting(root: Path, name: str) -> str | None:
    """Return the value of one of git's settings (git-config(1)), None where nobody set it."""
    return run(root, "config", "--get", name).stdout.strip() or None


def has_identity(root: Path) -> bool:
    """Return whether git is configured to know who makes commits here; a guess does not count."""
    return all(run(root, *CONFIGURED, "var", f"GIT_{role}_IDENT").ok for role in ("AUTHOR", "COMMITTER"))


def committer_identity(root: Path) -> str | None:
    """Return who works here, and the time: NAME <MAIL> SECONDS ZONE; None where git could only guess."""
    done = run(root, *CONFIGURED, "var", "GIT_COMMITTER_IDENT")
    return done.stdout.strip() if done.ok else None


def is_ancestor(root: Path, ancestor: str, commit: str) -> bool:
    """Return whether a commit is another one's ancestor (or is it), as far as this clone goes back."""
    return run(root, "merge-base", "--is-ancestor", ancestor, commit).ok


def is_shallow(root: Path) -> bool:
    """Return whether this clone does not go back to the beginning."""
    return check_output(root, "rev-parse", "--is-shallow-repository") == "true"


def shallow_roots(root: Path) -> frozenset[str]:
    """Return the commits that a shallow clone begins with: to git, they brought everything that they have."""
    noted = root / run(root, "rev-parse", "--git-path", "shallow").stdout.strip()
    return frozenset(noted.read_text(encoding="ascii").split()) if noted.is_file() else frozenset()


def count_commits(root: Path, after: str, up_to: str) -> int:
    """Return how many commits there are after one, up to another."""
    return int(check_output(root, "rev-list", "--count", f"{after}..{up_to}"))


def commit_date(root: Path, commit: str) -> str | None:
    """Return the day that a commit was made on (ISO 8601); None where this clone does not have it."""
    options = ("-s", "--no-show-signature", "--format=%cs")
    done = run(root, "show", *options, "--end-of-options", f"{commit}^{{commit}}")
    return done.stdout.strip() if commit and done.ok else None


def list_commits(root: Path, after: str | None, up_to: str) -> tuple[CommitSummary, ...]:
    """Return the commits after one (None: all) up to another, the newest first, without merges."""
    span = f"{after}..{up_to}" if after else up_to
    shown = check_output(root, "log", "--no-merges", "--no-show-signature", SUMMARY_FORMAT, span)
    return tuple(map(_summary, shown.splitlines()))


def last_change(
    root: Path,
    paths: Sequence[str],
    since: str | None = None,
    *,
    up_to: str = "HEAD",
    text: str | None = None,
) -> CommitSummary | None:
    """Return the last commit up to `up_to` that touched one of these paths (from `root`), None for none.

    With `since` (a commit that this clone has), only those that it does not have. With `text`, only those
    that added or removed it there.
    """
    span = f"{since}..{up_to}" if since else up_to
    # Also what came in by a merge's own resolution; git leaves merges out otherwise.
    options = ("-1", "--diff-merges=cc", *_pickaxe(text), SUMMARY_FORMAT)
    found = run(root, LITERAL, "log", *options, span, "--", *paths)
    return _summary(found.stdout.splitlines()[0]) if found.ok and found.stdout.strip() else None


def _summary(line: str) -> CommitSummary:
    commit, date, author, subject = line.split("\0")
    return CommitSummary(hash=commit, date=date, author=author, subject=subject)


def _pickaxe(text: str | None) -> list[str]:
    return [f"-S{text}"] if text else []


def read_file_at(root: Path, commit: str, path: str) -> str | None:
    """Return a file's text in a commit (path from the repository's top), None where it has no such file."""
    done = run(root, "cat-file", "blob", f"{commit}:{path}")
    return done.stdout if done.ok else None


def list_files_at(root: Path, commit: str, folder: str) -> tuple[str, ...]:
    """Return the paths of a folder's files in a commit, at any depth; none where it has no such folder."""
    done = run(root, "ls-tree", "-r", "--name-only", "-z", commit, "--", f"{folder}/")
    return tuple(filter(None, done.stdout.split("\0")))


def create_commit(root: Path, parent: str, path: str, text: str, message: str) -> str:
    """Make a commit on top of another, in which one file has this text, and return its hash.

    No ref points to it, nothing that is checked out changes, and the same arguments give the same hash on
    every machine: names and time are those of the parent's committer. The message is ASCII.
    """
    shown = check_output(root, "log", "-1", "--format=%cn%n%ce%n%cd", "--date=raw", parent)
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in zip(("NAME", "EMAIL", "DATE"), shown.split("\n"), strict=True)
    }
    blob = check_output(root, "hash-object", "-w", "--stdin", stdin=text)
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        check_output(root, "read-tree", parent, env=index)
        check_output(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        tree = check_output(root, "write-tree", env=index)
    # Another encoding would stand in the commit, and change its hash.
    plain = ("-c", "i18n.commitEncoding=UTF-8")
    stdin = f"{message.strip()}\n"
    return check_output(root, *plain, "commit-tree", tree, "-p", parent, env=who, stdin=stdin)


def create_tag_object(root: Path, name: str, commit: str, message: str, *, by: str | None = None) -> str:
    """Make an annotated tag that no ref points to yet, and return its hash.

    `by` is who makes it, and when, as `committer_identity` gives it; None: the commit's committer.
    """
    by = by or check_output(root, "log", "-1", "--format=%cn <%ce> %cd", "--date=raw", commit)
    text = f"object {commit}\ntype commit\ntag {name}\ntagger {by}\n\n{message.strip()}\n"
    return check_output(root, "mktag", stdin=text)


def read_tag(root: Path, tag: str) -> Tag | None:
    """Return an annotated tag, by its hash or name; None where it is not here, or is a light one."""
    done = run(root, "cat-file", "tag", tag)
    if not done.ok:
        return None
    header, _, message = done.stdout.partition("\n\n")
    found = re.search(r"^tagger (.*?)(?: <[^>\n]*>(?: (\d+) [+-]\d+)?)?$", header, re.MULTILINE)
    tagger, time = found.groups() if found else ("", None)
    return Tag(message=message, tagger=tagger, time=int(time or 0))


def tag_message(root: Path, tag: str) -> str:
    """Return the message of an annotated tag, by its hash; "" where it is not here, or is a light one."""
    found = read_tag(root, tag)
    return found.message if found else ""


def local_tags(root: Path, *patterns: str) -> dict[str, str]:
    """Return the tags here that match a pattern: name -> the commit that it points to."""
    form = "--format=%(refname:strip=2) %(objectname) %(*objectname)"
    shown = check_output(root, "for-each-ref", form, *(f"refs/tags/{pattern}" for pattern in patterns))
    return {name: hashes[-1] for name, *hashes in map(str.split, shown.splitlines())}


def merged_tags(root: Path, *patterns: str) -> tuple[str, ...]:
    """Return the tags here that match a pattern and whose commits HEAD has; none where nothing is committed.

    Raises `PrerequisiteError` where `root` is in no git repository.
    """
    if resolve_commit(root, "HEAD") is None:
        check_output(root, "rev-parse", "--git-dir")
        return ()
    form = "--format=%(refname:strip=2)"
    wanted = (f"refs/tags/{pattern}" for pattern in patterns)
    return tuple(check_output(root, "for-each-ref", form, "--merged=HEAD", *wanted).splitlines())


def create_tag(root: Path, name: str, message: str, env: Mapping[str, str]) -> process.Completed:
    """Make an annotated tag of what is checked out, signed where git is configured to sign."""
    return run(root, "tag", "--annotate", f"--message={message}", name, env=env)


def update_ref(root: Path, name: str, commit: str) -> None:
    """Set a ref here; `PrerequisiteError`."""
    check_output(root, "update-ref", name, commit)


def restore_refs(root: Path, head: str, absent: str) -> None:
    """Put HEAD's branch back to a commit, and remove a ref where it exists; no hook may refuse that."""
    if resolve_object(root, absent):
        check_output(root, "update-ref", "-d", absent, env=WITHOUT_HOOKS)
    if resolve_commit(root, "HEAD") != head:
        check_output(root, "update-ref", "HEAD", head, env=WITHOUT_HOOKS)


def index_file(root: Path) -> Path:
    """Return the file in which git keeps the index of this work tree."""
    return root / check_output(root, "rev-parse", "--git-path", "index")


def create_ref(root: Path, name: str, commit: str) -> bool:
    """Set a ref here that does not exist yet; return whether it was set."""
    return run(root, "update-ref", name, commit, "0" * len(commit)).ok


def remote_pages(root: Path, remote: str = "origin") -> str | None:
    """Return the address of a remote's pages (`pages_url`), after git has applied url.*.insteadOf."""
    found = process.run(["git", "-C", str(root), "remote", "get-url", remote])
    return pages_url(found.stdout.strip()) if found.ok else None


def remote_url(root: Path, remote: str = "origin") -> str | None:
    """Return a remote's URL without credentials; None for no such remote, or a path on this machine."""
    # Not `run`, which would take the user out of ssh's short form too.
    found = process.run(["git", "-C", str(root), "remote", "get-url", remote])
    return public_url(found.stdout.strip()) if found.ok else None


def find_upstream(root: Path, branch: str) -> tuple[str, str] | None:
    """Return the remote that a branch belongs to, and the full name of its ref there; None for no remote.

    What is configured for it, else the branch of the same name on `origin` or on the only remote.
    """
    remote = run(root, "config", f"branch.{branch}.remote").stdout.strip()
    ref = run(root, "config", f"branch.{branch}.merge").stdout.strip()
    if remote and remote != "." and ref:
        return remote, ref
    known = check_output(root, "remote").splitlines()
    remote = "origin" if "origin" in known else known[0] if len(known) == 1 else ""
    return (remote, f"refs/heads/{branch}") if remote else None


def remote_refs(root: Path, remote: str, *refs: str) -> dict[str, str]:
    """Return the refs that a remote has: full name -> hash; those of tags also peeled, as NAME^{}.

    Only what these names or patterns match. Raises `RemoteError` where the remote does not answer.
    """
    wanted = [*refs, *(f"{ref}^{{}}" for ref in refs if ref.startswith("refs/tags/"))]
    done = run(root, "ls-remote", remote, *wanted, timeout=LIST_TIMEOUT)
    if not done.ok:
        cause = done.stderr.strip() or f"git ls-remote exited with {done.code}"
        hint = f"see whether `git ls-remote {remote}` works, and try again"
        raise RemoteError(f"the remote {remote} could not be asked what it has", cause=cause, hint=hint)
    # A pattern matches at the end of a name: refs/heads/main is also that of refs/x/refs/heads/main.
    pairs = (line.split("\t", 1) for line in done.stdout.splitlines())
    return {name: found for found, name in pairs if name.startswith("refs/")}


def parse_tags(refs: Mapping[str, str]) -> dict[str, RemoteTag]:
    """Return the tags among a remote's refs, by their names."""
    return {
        name.removeprefix("refs/tags/"): RemoteTag(hash=found, commit=refs.get(f"{name}^{{}}", found))
        for name, found in refs.items()
        if name.startswith("refs/tags/") and not name.endswith("^{}")
    }


def fetch(root: Path, remote: str, *refs: str) -> process.Completed:
    """Get what refs of a remote point to, and change no ref here, not even those that mirror the remote's."""
    quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=")
    return run(root, "fetch", *quiet, remote, *refs, timeout=TRANSFER_TIMEOUT)


def push(root: Path, remote: str, refs: Mapping[str, tuple[str | None, str]]) -> process.Completed:
    """Set refs of a remote, all or none: full name -> (what it must be now, None: absent; what it becomes).

    A code that is not 0 says little: the answer may have been lost, or come too late. Other tags never go
    along, whatever push.followTags says.
    """
    leases = [f"--force-with-lease={name}:{now or ''}" for name, (now, _) in refs.items()]
    changes = [f"{becomes}:{name}" for name, (_, becomes) in refs.items()]
    command = ["push", "--quiet", "--atomic", "--no-follow-tags", *leases, remote, *changes]
    try:
        return run(root, *command, timeout=TRANSFER_TIMEOUT)
    except PrerequisiteError as late:
        return process.Completed(code=1, stderr=late.message)
