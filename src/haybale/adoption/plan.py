"""What `init` and `upgrade` write: decided here, file by file, and written by nobody yet."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from haybale.adoption.generated_files import (
    GITHUB,
    GITLAB,
    JUSTFILE,
    NOXFILE,
    OWN_GITLAB,
    OWN_JUSTFILE,
    OWN_NOXFILE,
    WRITER,
    Repository,
    advise,
    generate_files,
    services_file,
)
from haybale.adoption.proposal import SERVICES_FILE, propose_settings
from haybale.adoption.survey import survey_requirements
from haybale.adoption.toml_text import render_table
from haybale.config import FILE, TABLE
from haybale.files import is_as_stamped, stamped_writer
from haybale.invocation import JUSTFILES
from haybale.version import find_version_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haybale.adoption.description import Described
    from haybale.adoption.proposal import Origin
    from haybale.adoption.site_requirements import Requirements
    from haybale.adoption.survey import Survey
    from haybale.adoption.variables import Question

# The forge of each host whose registry is known.
FORGE_OF_HOST = {"github.com": "github", "gitlab.com": "gitlab"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be written: texts by their path from the root; what a person has to look at, or to answer.

    `left` are files that `upgrade` leaves as they are, since somebody changed them: as they would be.
    """

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self, found: Sequence[Described]) -> dict[str, Any]:
        """Return plain values, for programs; `found` describes the repository."""
        return {
            "found": [asdict(each) for each in found],
            "files": dict(self.files),
            "notes": list(self.notes),
            "questions": [asdict(each) for each in self.questions],
            "left": dict(self.left),
        }


def find_forge(survey: Survey, origin: Origin) -> str:
    """Return whose CI is used here: by the remote's host, else by the files that are there; else `none`."""
    host, _ = origin.host_and_path
    by_file = {".gitlab-ci.yml": "gitlab"}
    found = (by_file.get(each, "github" if each.startswith(".github/") else None) for each in survey.ci_files)
    return FORGE_OF_HOST.get(host) or next(filter(None, found), "none")


def read_repository(
    root: Path, version: str, main: str, forge: str, requirements: Sequence[Requirements], *, publishes: bool
) -> Repository:
    """Return what of the generated files' kind a repository has; what haybale wrote is not its own.

    Raises `ConfigError` where its version file cannot be read.
    """
    version_file = find_version_file(root)
    justfile = next((each for each in JUSTFILES if (root / each).is_file()), None)
    return Repository(
        version=version,
        main=main,
        forge=forge,
        publishes=publishes,
        noxfile=NOXFILE if (root / NOXFILE).is_file() and not _is_ours(root / NOXFILE) else None,
        justfile=justfile if justfile and not _is_ours(root / justfile) else None,
        has_gitlab_file=(root / GITLAB).is_file() and not _is_ours(root / GITLAB),
        version_tool=version_file.tool if version_file else None,
        locker=find_locker(requirements),
    )


def find_locker(requirements: Sequence[Requirements]) -> str | None:
    """Return what compiles a repository's requirements with hashes; None where they have none."""
    if any(each.tool == "uv" for each in requirements):
        return "uv"
    is_locked = any(each.is_lock or each.has_hashes for each in requirements)
    return "pip-tools" if is_locked else None


def plan_files(survey: Survey, origin: Origin, version: str, forge: str, answers: Mapping[str, str]) -> Plan:
    """Return what a repository lacks. What is there stays as it is, whatever is in it.

    Raises `tomllib.TOMLDecodeError` where its pyproject.toml is none.
    """
    root = survey.root
    before = _text(root / FILE)
    table = tomllib.loads(before).get("tool", {}).get("haybale")
    files: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    if table is None:
        proposed = propose_settings(survey, origin, answers)
        table, notes, questions = proposed.table, proposed.notes, proposed.questions
        files[FILE] = f"{before.rstrip()}\n\n{render_table(table, TABLE)}".lstrip("\n")
        if proposed.services and not (root / SERVICES_FILE).exists():
            files[SERVICES_FILE] = services_file(proposed.services)
    main = str(table.get("main", "main"))
    publishes = table.get("local") is not True
    repository = read_repository(root, version, main, forge, survey.requirements, publishes=publishes)
    generated = generate_files(repository)
    wanted = {name: text for name, text in generated.items() if not _has_its_like(root, name, survey)}
    files |= wanted
    advice = advise(repository, wanted, _text(root / (repository.justfile or JUSTFILE)))
    return Plan(files=files, notes=(*notes, *advice), questions=questions)


def plan_upgrade(root: Path, version: str, main: str, *, publishes: bool) -> Plan:
    """Return the files of `init` as this version writes them; those that somebody changed are left."""
    files: dict[str, str] = {}
    left: dict[str, str] = {}
    requirements = survey_requirements(root)
    for forge in ("github", "gitlab"):
        repository = read_repository(root, version, main, forge, requirements, publishes=publishes)
        for name, text in generate_files(repository).items():
            before = _text(root / name)
            if stamped_writer(before) is not None and before != text:
                (files if is_as_stamped(before) else left)[name] = text
    notes = tuple(
        f"{name}: somebody changed it, so it stays as it is; what this version would write is above"
        for name in left
    )
    return Plan(files=files, notes=notes, left=left)


def _has_its_like(root: Path, name: str, survey: Survey) -> bool:
    """Whether there is such a file, or one of the repository's own does the same."""
    if (root / name).exists():
        return True
    own = {OWN_NOXFILE: (NOXFILE,), OWN_JUSTFILE: JUSTFILES, GITHUB: survey.ci_files, OWN_GITLAB: (GITLAB,)}
    # To name the file that is not there is not to have it.
    return any("haybale" in _text(root / each).replace(name, "") for each in own.get(name, ()))


def _is_ours(file: Path) -> bool:
    writer = stamped_writer(_text(file))
    return writer is not None and writer.startswith(WRITER)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""
