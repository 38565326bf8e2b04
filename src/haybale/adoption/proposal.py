"""What `init` would write: the settings that differ from the defaults, and lines for .gitignore."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.config import FILE, TABLE, Settings, SiteSettings

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.adoption.survey import Survey

GITIGNORE = ".gitignore"
IGNORED = ("/.haybale/", "/reports/")

# Registries that belong to a forge, by its host.
REGISTRIES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
NO_REGISTRY = "localhost:5000"
DEFAULT_CORE = "collection1"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Files as they would be after `init`, by their path from the root, and what was not found.

    `questions` say what a person has to decide or provide, a sentence each.
    """

    files: dict[str, str]
    questions: tuple[str, ...]


def propose(survey: Survey, origin: str | None, branch: str | None) -> Proposal:
    """Return what a repository lacks; `origin` is its remote's URL, `branch` its main branch, where known."""
    settings, questions = _settings(survey, origin, branch)
    files = {}
    before = _text(survey.root / FILE)
    if not _has_table(before):
        files[FILE] = f"{before.rstrip()}\n\n{settings}".lstrip("\n")
    ignored = _text(survey.root / GITIGNORE)
    missing = [line for line in IGNORED if line.strip("/") not in re.sub(r"[/*]", "", ignored).split()]
    if missing:
        files[GITIGNORE] = "\n".join([*ignored.splitlines(), *missing, ""])
    return Proposal(files=files, questions=tuple(questions) if FILE in files else ())


def _settings(survey: Survey, origin: str | None, branch: str | None) -> tuple[str, list[str]]:
    """Return the table as TOML, only what differs from the defaults; and what could not be found."""
    questions: list[str] = []
    host, path = _host_and_path(origin)
    name = re.sub(r"[^a-z0-9_-]+", "-", (PurePosixPath(path).name or survey.root.name).lower()).strip("-_")
    registry = f"{REGISTRIES[host]}/{path.lower()}" if host in REGISTRIES else f"{NO_REGISTRY}/{name}"
    solr = [each for each in survey.connections if each.is_solr]
    cores = list(dict.fromkeys(each.core for each in solr if each.core))
    if not cores:
        where = survey.settings_file or "the site's settings"
        questions.append(f"core: {where} does not write down which core of Solr it uses")
    values: dict[str, object] = {
        "name": name or "site", "registry": registry, "core": cores[0] if cores else DEFAULT_CORE,
        "local": host not in REGISTRIES, "main": branch or Settings.main,
    }  # fmt: skip
    if survey.site is None:
        questions.append("site: there is no manage.py here")
    else:
        values["site.folder"] = survey.site.value
    if survey.dumps:
        values["dump"] = survey.dumps[0].value
    else:
        questions.append(
            "dump: no file here is one; make a link to the newest (ln -s FILE dumps/site_latest.sqlite3)"
        )
    if survey.solr_configurations:
        values["solr_conf"] = survey.solr_configurations[0]
    else:
        questions.append("solr_conf: there is no folder with schema.xml and solrconfig.xml")
    if survey.dockerfiles:
        values["dockerfile"] = survey.dockerfiles[0][0]
    defaults = {
        "local": False,
        "main": Settings.main,
        "site.folder": SiteSettings.folder,
        "dump": Settings.dump,
    }
    defaults |= {"solr_conf": Settings.solr_conf, "dockerfile": None}
    lines = [f"[{TABLE}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in values.items() if defaults.get(key) != value]
    if survey.python:
        lines += ["", f"[{TABLE}.images]", f'python = "python:{survey.python.value}-slim"']
    return "\n".join([*lines, ""]), questions


def _host_and_path(url: str | None) -> tuple[str, str]:
    """Return host and path of a remote, in any form that git knows; empty for none."""
    match = re.fullmatch(r"(?:[a-z+]+://)?(?:[^@/]*@)?([^:/]+)(?::[0-9]+)?[:/](.+?)(?:\.git)?/?", url or "")
    return (match[1].lower(), match[2]) if match else ("", "")


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _has_table(text: str) -> bool:
    """Return whether a pyproject.toml has haybale's table; raises `tomllib.TOMLDecodeError`."""
    tool = tomllib.loads(text).get("tool")
    return isinstance(tool, dict) and "haybale" in tool
