"""The files that `init` writes beside the settings, and `upgrade` brings up to date: sessions, recipes, CI.

Each begins with a line that has the version and the digest of what was written (`haybale.files`): a file that
somebody changed is never written again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import yaml

from haybale.files import add_stamp
from haybale.invocation import JUSTFILES, RECIPE
from haybale.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from haybale.version import Tool

NOXFILE = "noxfile.py"
# Where the repository has a noxfile, or a justfile, of its own.
OWN_NOXFILE = "haybale_noxfile.py"
OWN_JUSTFILE = "haybale.just"
JUSTFILE = JUSTFILES[0]

GITHUB = ".github/workflows/haybale.yml"
GITLAB = ".gitlab-ci.yml"
OWN_GITLAB = ".gitlab/haybale.yml"
FORGES = ("github", "gitlab", "none")

# What comes first in a stamp: who wrote the file.
WRITER = "haybale init"

# The extras of verbs that need more than haybale itself (pyproject.toml); those that make versions need the
# tool that the repository makes them with.
EXTRAS = {"regen_requirements": "requirements", "rehearse_deploy": "rehearse"}
MAKES_VERSIONS = ("bump", "pipeline")
EXTRA_OF_TOOL: Mapping[str, str] = {"bump2version": "bump", "bump-my-version": "bump-my-version"}

# How haybale's own requirements are compiled with hashes, by what a repository locks its own with.
LOCK = "haybale.lock.txt"
LOCKERS = {
    "pip-tools": f"pip-compile --generate-hashes --output-file={LOCK} -",
    "uv": f"uv pip compile --universal --generate-hashes --output-file={LOCK} -",
}

LONGEST_LINE = 100


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What generated files depend on: haybale's version, the forge, and what of these a repository has.

    `forge` is one of FORGES; `publishes`: its images go to a registry. `noxfile` and `justfile` are the names
    of files of its own, None where it has none; `has_gitlab_file` is for .gitlab-ci.yml. `version_tool` makes
    its versions (None: git's tags do); `locker` is one of LOCKERS where its requirements have hashes.
    """

    version: str
    main: str
    forge: str
    publishes: bool
    noxfile: str | None = None
    justfile: str | None = None
    has_gitlab_file: bool = False
    version_tool: Tool | None = None
    locker: str | None = None

    @property
    def extras(self) -> dict[str, str]:
        """The extra of each verb that needs one."""
        versions = dict.fromkeys(MAKES_VERSIONS, EXTRA_OF_TOOL.get(self.version_tool or ""))
        return {verb: extra for verb, extra in (*versions.items(), *EXTRAS.items()) if extra}


def generate_files(repository: Repository) -> dict[str, str]:
    """Return the files, by their path from the root, with their stamps."""
    noxfile = OWN_NOXFILE if repository.noxfile else NOXFILE
    justfile = OWN_JUSTFILE if repository.justfile else JUSTFILE
    files = {noxfile: _noxfile(repository), justfile: _justfile(noxfile)}
    if repository.forge == "github":
        files[GITHUB] = _workflow("github.yml", repository, noxfile)
    elif repository.forge == "gitlab":
        name = OWN_GITLAB if repository.has_gitlab_file else GITLAB
        files[name] = _workflow("gitlab.yml", repository, noxfile)
    return {name: add_stamp(text, f"{WRITER} {repository.version}") for name, text in files.items()}


def services_file(services: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a compose file with services that a site needs, as its own compose files have them."""
    text = yaml.safe_dump(
        {"services": {name: dict(each) for name, each in services.items()}}, sort_keys=False
    )
    return f"# What the site needs beside its database and Solr, taken from the other compose files.\n{text}"


def advise(repository: Repository, files: Mapping[str, str], justfile: str) -> list[str]:
    """Return what a person may add to their files where `files` are written; `justfile` is their text."""
    lines = []
    if OWN_JUSTFILE in files:
        own = {match["name"] for match in RECIPE.finditer(f"{justfile}\n")}
        doubled = sorted(own & {verb.name for verb in VERBS})
        how = f"import '{OWN_JUSTFILE}'"
        if doubled:
            how = f"mod haybale '{OWN_JUSTFILE}' (not import: there is a {doubled[0]} already)"
        lines.append(f"{repository.justfile}: the line {how} gives it haybale's recipes")
    if OWN_NOXFILE in files:
        lines.append(f"{NOXFILE}: it stays as it is; haybale's sessions are in {OWN_NOXFILE} (nox -f)")
    if repository.locker and {NOXFILE, OWN_NOXFILE} & {*files}:
        lines.append(
            f"{LOCK}: your requirements have hashes; haybale's own have them too where you make this file, as"
            " the noxfile says"
        )
    if OWN_GITLAB in files:
        lines.append(f"{GITLAB}: `include: [{{local: {OWN_GITLAB}}}]` runs haybale's jobs")
    return lines


def _noxfile(repository: Repository) -> str:
    extras = repository.extras
    return _template(
        "noxfile",
        version=repository.version,
        verbs=_wrapped_verbs(),
        extras="".join(f'    "{verb}": "[{extra}]",\n' for verb, extra in extras.items()),
        all_extras=",".join(dict.fromkeys(extras.values())),
        compile=LOCKERS[repository.locker or "pip-tools"],
    )


def _wrapped_verbs() -> str:
    lines, line = [], "   "
    for verb in VERBS:
        if len(line) + len(verb.identifier) >= LONGEST_LINE:
            lines.append(line)
            line = "   "
        line += f" {verb.identifier}"
    return "\n".join([*lines, line])


def _justfile(noxfile: str) -> str:
    recipes = [
        f"# {verb.summary}\n[group('{verb.group}')]\n[positional-arguments]\n"
        f'{verb.name} {verb.parameters}:\n    @{{{{ haybale_nox }}}} -s {verb.identifier} -- "$@"\n'
        for verb in VERBS
    ]
    file = "" if noxfile == NOXFILE else f" -f {noxfile}"
    return _template("justfile", file=file, recipes="\n".join(recipes))


def _workflow(name: str, repository: Repository, noxfile: str) -> str:
    """Return a forge's file; what stands between lines `# publish` is there only for what is published."""
    file = "" if noxfile == NOXFILE else f" -f {noxfile}"
    text = _template(name, main=repository.main, nox=f"pipx run nox{file}", gitlab_nox=f"nox{file}")
    parts = re.split(r"^ *# publish\n", text, flags=re.MULTILINE)
    kept: Sequence[str] = parts if repository.publishes else parts[::2]
    return "".join(kept)


def _template(name: str, **values: str) -> str:
    """Return a template with @NAME@ replaced: these files are full of braces and dollars themselves."""
    text = (resources.files("haybale.adoption") / "templates" / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
