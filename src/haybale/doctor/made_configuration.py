"""The configuration that haybale makes of a site's search indexes, as it was made last, to be looked at.

Each run makes it again. What is looked at here is whether it still is what the indexes have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.doctor.finding import Finding
from haybale.index.solr_xml import read_xml
from haybale.index.solrconfig import SCHEMA
from haybale.index.stack import OWN_CONFIGURATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.adoption.search_fields import SearchField
    from haybale.config import Project


def read_made_fields(project: Project) -> dict[str, list[str]]:
    """Return the fields of each core, by its folder (from the root), as they were made last.

    {} where the repository keeps a configuration of its own, or nothing was made yet.
    """
    if project.settings.solr_conf is not None:
        return {}
    schemas = sorted((project.scratch / OWN_CONFIGURATIONS).glob(f"*/{SCHEMA}"))
    wanted = project.settings.cores
    return {
        folder: [each.get("name", "") for each in read_xml(file, f"{folder}/{SCHEMA}").root.iter("field")]
        for file in schemas
        if not wanted or file.parent.name in wanted
        for folder in [file.parent.relative_to(project.home).as_posix()]
    }


def describe_made_fields(made: Mapping[str, Sequence[str]]) -> str:
    """Return where a configuration is that was made, and which fields it has."""
    cores = "; ".join(f"{folder} with the fields {', '.join(fields)}" for folder, fields in made.items())
    return f"haybale makes it of the search indexes{f': {cores}' if cores else ''}"


def check_made_fields(fields: Sequence[SearchField], made: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield the fields that the code has and that the configuration has not, since it is older.

    `made` is what `read_made_fields` returns; which core a field belongs to is not known from the code.
    """
    known = {name for names in made.values() for name in names}
    missing = [each for each in fields if each.name not in known]
    if made and missing:
        yield Finding(
            level="warning",
            what=f"{missing[0].place}: {', '.join(made)} has no field"
            f" {', '.join(dict.fromkeys(each.name for each in missing))}",
            why="it was made before that; each run makes it again",
            fix="make it now: `haybale doctor --deep`",
        )
