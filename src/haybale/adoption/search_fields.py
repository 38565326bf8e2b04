"""The fields of a site's search indexes, read and not run.

What only Django knows is not seen: fields that come from another module's class, or that code makes. Which
those are is said.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import last_name, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Haystack's classes of indexes; what else an index inherits from is the site's own, or another package's.
INDEX_BASES = ("SearchIndex", "BasicSearchIndex", "ModelSearchIndex", "Indexable", "object")
# An index that takes its fields from its model.
MODEL_INDEX = "ModelSearchIndex"

FACET_SUFFIX = "_exact"  # haystack/fields.py, get_facet_field_name


# The module that Haystack looks for in each app, or the package.
SEARCH_INDEXES = "search_indexes"


@dataclass(frozen=True, kw_only=True)
class SearchField:
    """A field as Solr gets it: its name, the class that declares it, and where that is (FILE:LINE)."""

    name: str
    kind: str
    place: str

    @property
    def is_multiple(self) -> bool:
        """Whether it may have several values."""
        return "MultiValue" in self.kind

    @property
    def is_facet(self) -> bool:
        """Whether it has the values of another field, whole."""
        return self.kind.startswith("Facet") or self.name.endswith(FACET_SUFFIX)


@dataclass(frozen=True, kw_only=True)
class SearchFields:
    """What a module of search indexes declares, and the indexes of which that is not all (name at place)."""

    fields: tuple[SearchField, ...] = ()
    incomplete: tuple[str, ...] = ()


def search_index_files(files: Sequence[str], site: str) -> list[str]:
    """Return the files with a site's search indexes; `site` is its folder, "." for the root."""
    return [
        each
        for each in files
        if each.endswith(".py")
        and (PurePosixPath(each).stem == SEARCH_INDEXES or f"/{SEARCH_INDEXES}/" in each)
        and (site == "." or each.startswith(f"{site}/"))
    ]


def read_search_fields(file: str, text: str) -> SearchFields:
    """Return the fields of a module of search indexes; raises `SyntaxError`."""
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    known = {each.name: each for each in classes}
    fields: dict[str, SearchField] = {}
    incomplete = []
    for each in classes:
        bases = [last_name(base) or "?" for base in each.bases]
        # A class that is no Indexable itself counts where another one inherits from it.
        if "Indexable" not in bases:
            continue
        outside = False
        for one in _inherited(each, known):
            fields |= {field.name: field for field in _fields_of(one, file)}
            names = {last_name(base) or "?" for base in one.bases}
            outside |= bool(names - {*INDEX_BASES, *known}) or MODEL_INDEX in names
        if outside:
            incomplete.append(f"{each.name} ({file}:{each.lineno})")
    return SearchFields(fields=tuple(fields.values()), incomplete=tuple(incomplete))


def _inherited(index: ast.ClassDef, known: Mapping[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """Yield a class after the classes of the same module that it inherits from."""
    for base in index.bases:
        name = last_name(base)
        if name is not None and name in known and name != index.name:
            others = {key: value for key, value in known.items() if key != index.name}
            yield from _inherited(known[name], others)
    yield index


def _fields_of(index: ast.ClassDef, file: str) -> Iterator[SearchField]:
    for node in index.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
            value: ast.expr | None = node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        else:
            continue
        kind = (last_name(value.func) or "") if isinstance(value, ast.Call) else ""
        if not (isinstance(target, ast.Name) and isinstance(value, ast.Call) and kind.endswith("Field")):
            continue
        given = {each.arg: each.value for each in value.keywords}
        place = f"{file}:{node.lineno}"
        name = text_of(given.get("index_fieldname")) or target.id
        yield SearchField(name=name, kind=kind, place=place)
        faceted = given.get("faceted")
        if isinstance(faceted, ast.Constant) and faceted.value is True:
            yield SearchField(name=f"{target.id}{FACET_SUFFIX}", kind=f"Facet{kind}", place=place)
