"""What people have in their environment, in their homes and in git's configuration: it changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# No session or command sees these. What an interpreter reads when it starts is `INTERPRETER`.
HOSTILE = {
    "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "/nowhere", "PIP_CONSTRAINT": "/nowhere",
    "UV_SYSTEM_PYTHON": "1", "UV_PYTHON": "2.7", "UV_CONSTRAINT": "/nowhere",
    "NOX_DEFAULT_VENV_BACKEND": "none", "VIRTUAL_ENV": "/nowhere", "CONDA_PREFIX": "/nowhere",
    "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere", "PYTEST_ADDOPTS": "--collect-only",
    "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "/nowhere",
    "GIT_OBJECT_DIRECTORY": "/nowhere", "GIT_NAMESPACE": "nowhere", "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "true", "GIT_EXTERNAL_DIFF": "false",
    "COMPOSE_FILE": "/nowhere", "COMPOSE_PROFILES": "dev", "COMPOSE_PROJECT_NAME": "elsewhere",
    "COMPOSE_ENV_FILES": "/nowhere", "COMPOSE_IGNORE_ORPHANS": "1", "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
    "BUILDX_BUILDER": "nowhere", "SOURCE_DATE_EPOCH": "1", "CDPATH": "/", "TAR_OPTIONS": "--nowhere",
    "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": "nowhere.test/", "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TC_HOST": "tcp://127.0.0.1:1", "DOCKER_AUTH_CONFIG": '{"auths": {"127.0.0.1:1": {}}}',
}  # fmt: skip
INTERPRETER = {"PYTHONHOME": "/nowhere", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"}

# git-config(1): everything that changes output which is read here, or gets in the way of what is done.
PLANTED = r"""
[color]
	ui = always
[core]
	quotePath = true
	pager = false
	abbrev = 4
	fsmonitor = false
[log]
	showSignature = true
	decorate = short
	date = relative
	follow = true
	excludeDecoration = *
	abbrevCommit = true
	diffMerges = first-parent
[format]
	pretty = oneline
[i18n]
	logOutputEncoding = UTF-16
[diff]
	noprefix = true
	external = false
	renames = copies
	orderFile = /dev/null
	relative = true
[status]
	showUntrackedFiles = all
	relativePaths = false
	branch = true
	short = true
	showStash = true
[merge]
	ff = false
[fetch]
	prune = true
	pruneTags = true
[push]
	followTags = true
	default = nothing
[tag]
	sort = -creatordate
[column]
	ui = always
[commit]
	verbose = true
	cleanup = strip
[pager]
	log = true
[alias]
	status = !false
	commit = !false
[advice]
	detachedHead = true
[branch]
	autoSetupMerge = always
	autoSetupRebase = always
[checkout]
	defaultRemote = nowhere
	guess = false
[clone]
	defaultRemoteName = elsewhere
[init]
	defaultBranch = trunk
	templateDir = /nowhere
[pull]
	rebase = true
[rebase]
	autoStash = true
[remote]
	pushDefault = nowhere
[submodule]
	recurse = true
[versionsort]
	suffix = -r
[worktree]
	guessRemote = true
"""

# Compose reads it beside its files, and would stop at it.
DOT_ENV = "BROKEN=a${b\nCOMPOSE_FILE=/nowhere\nCOMPOSE_PROFILES=dev\n"

TESTCONTAINERS = "no pair\nryuk.disabled=perhaps\ntc.host=tcp://127.0.0.1:1\ndocker.host=tcp://127.0.0.1:1\n"


def make_hostile_home(folder: Path) -> dict[str, str]:
    """Write a home's files into a folder; return what is planted in the environment, with that home."""
    folder.mkdir()
    (folder / ".gitconfig").write_text(PLANTED, encoding="utf-8")
    (folder / ".testcontainers.properties").write_text(TESTCONTAINERS, encoding="utf-8")
    return {**HOSTILE, "HOME": str(folder)}
