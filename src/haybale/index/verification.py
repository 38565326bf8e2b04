"""Decide whether an index is the database's: every count, and every field that was compared.

`haybale/loader/checks` compares, in the site's container; here its findings are read. The baked image is
compared by its counts alone, for which no site is needed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import VerifyError
from haybale.loader.events import Difference

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of the report that an image carries.
FORMAT_VERSION = 1

# Mismatches that an error lists.
MAX_MISMATCHES = 40


@dataclass(frozen=True, kw_only=True)
class VerifiedModel:
    """A model (app.model) of a Haystack connection (`alias`), and its numbers.

    These are of rows in the database now, documents sent, rows skipped, documents in Solr, documents that
    Haystack itself finds there, and documents compared.
    """

    alias: str
    core: str
    model: str
    database: int
    documents: int
    skipped: int
    found: int
    queried: int
    sample: int


@dataclass(frozen=True, kw_only=True)
class VerifiedCore:
    """A core's documents of each type (app.model; "" for documents without one), expected and found."""

    core: str
    expected: Mapping[str, int]
    found: Mapping[str, int]
    total: int


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """What the verification found. `wrong` counts all differences, `differences` has the first of them.

    `whole`: every document was compared; else `seed` chooses the same sample again. Solr cannot give back the
    fields in `not_comparable`. `exempt` ones (app.model.field) were not compared: `index.verify_ignore`.
    """

    seed: int
    whole: bool
    models: tuple[VerifiedModel, ...]
    cores: tuple[VerifiedCore, ...]
    wrong: int
    differences: tuple[Difference, ...]
    not_comparable: tuple[str, ...]
    exempt: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        """The number of documents that were compared field by field."""
        return sum(model.sample for model in self.models)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> VerificationReport:
        """Return what the event `verified` says; `KeyError`, `TypeError`, `ValueError` where it is none."""
        return cls(
            seed=int(event["seed"]),
            whole=bool(event["whole"]),
            models=tuple(VerifiedModel(**model) for model in event["models"]),
            cores=tuple(VerifiedCore(**core) for core in event["cores"]),
            wrong=int(event["wrong"]),
            differences=tuple(Difference(**each) for each in event["differences"]),
            not_comparable=tuple(event["not_comparable"]),
            exempt=tuple(event.get("exempt", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what a valid report says, as plain values (see `from_json`)."""
        return {
            "format": FORMAT_VERSION,
            "seed": self.seed,
            "whole": self.whole,
            "models": [asdict(model) for model in self.models],
            "not_comparable": list(self.not_comparable),
            "exempt": list(self.exempt),
        }

    def to_json(self) -> str:
        """Return what a valid report says as JSON: an image's label."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> VerificationReport:
        """Return the report that a label holds; raises `VerifyError` where it is none of this format."""
        try:
            document = json.loads(text)
            if document["format"] != FORMAT_VERSION:
                raise VerifyError(
                    f"the report of the verification has format {document['format']}, not {FORMAT_VERSION}",
                    cause="another version of haybale made the image",
                    hint="read it with that one, or index again: `haybale regen-solr-image`",
                )
            return cls.from_event({**document, "cores": (), "wrong": 0, "differences": ()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VerifyError(
                f"the report of the verification cannot be read: {text[:200]}",
                cause="the label of an index image has it, as JSON",
                hint="index again: `haybale regen-solr-image`",
            ) from error


def raise_if_invalid(report: VerificationReport) -> None:
    """Raise `VerifyError` that lists every mismatch, where there is one."""
    found = find_mismatches(report)
    if found:
        # Not every difference is listed.
        number = len(found) - len(report.differences) + report.wrong
        raise VerifyError(
            f"the index is not the database's: {_number(number)}",
            cause=_cause(report),
            hint=_hint(report),
            log=_listing(found),
        )


def find_mismatches(report: VerificationReport) -> list[str]:
    """Return every way in which the index is not the database's, a sentence each."""
    found = []
    for model in report.models:
        read = model.documents + model.skipped
        if read != model.database:
            found.append(
                f"{model.model}: the database has {model.database} rows, the loader read {read} "
                f"({model.documents} sent, {model.skipped} skipped)"
            )
        if model.documents and not model.skipped and not model.sample:
            found.append(f"{model.model}: no document was compared")
        if report.whole and model.sample != model.documents:
            found.append(f"{model.model}: {model.documents} documents, {model.sample} compared")
        if model.queried != model.found:
            found.append(
                f"{model.model}: Solr holds {model.found} documents, Haystack ({model.alias}) finds "
                f"{model.queried}"
            )
    for core in report.cores:
        found.extend(_count_mismatches(core.expected, core.found))
        by_type = sum(core.found.values())
        if core.total != by_type:
            found.append(f"{core.core}: {core.total} documents in all, {by_type} by their type")
    if not any(core.expected for core in report.cores):
        found.append("nothing was loaded at all")
    return found + [
        f"{each.model} {each.key}, field {each.field}: expected {each.expected!r}, found {each.found!r}"
        f"{', and another value each time that it is prepared' * each.varies}"
        for each in report.differences
    ]


def _varying(report: VerificationReport) -> list[str]:
    return sorted({f"{each.model}.{each.field}" for each in report.differences if each.varies})


def _cause(report: VerificationReport) -> str:
    if names := _varying(report):
        return f"another value each time that a row is prepared: {', '.join(names)}"
    return "what Solr has was compared with the rows of the database, read and prepared once more"


def _hint(report: VerificationReport) -> str:
    fields = _varying(report) or sorted({f"{each.model}.{each.field}" for each in report.differences})
    again = f"fix that and load again (the loader's --seed {report.seed} chooses the same sample)"
    if not fields:
        return again
    setting = json.dumps([*report.exempt, *fields])
    return f"{again}; where that is right, in [tool.haybale.index]: verify_ignore = {setting}"


def raise_if_counts_differ(expected: Mapping[str, int], found: Mapping[str, int], core: str) -> None:
    """Raise `VerifyError` where a core's counts (app.model -> documents) are not the expected ones."""
    wrong = _count_mismatches(expected, found)
    if wrong:
        raise VerifyError(
            f"the core {core} does not hold what was loaded: {_number(len(wrong))}",
            cause="the image's labels say what was loaded, and its Solr was asked for what it has",
            hint="regenerate the index: `haybale regen-solr-image`",
            log=_listing(wrong),
        )


def _count_mismatches(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return a sentence for each type whose count is not the expected one; absent counts as 0."""
    sentences = []
    for name in sorted({*expected, *found}):
        want, have = expected.get(name, 0), found.get(name, 0)
        if want != have:
            foreign = "" if name in expected else ", of a type that was not loaded"
            what = name or "documents without a type"
            sentences.append(f"{what}: {want} expected, {have} found ({have - want:+d}){foreign}")
    return sentences


def counts_to_json(counts: Mapping[str, int]) -> str:
    """Return counts as JSON, always in the same order: an image's label."""
    return json.dumps(dict(sorted(counts.items())), separators=(",", ":"))


def _number(count: int) -> str:
    return f"{count} mismatch" if count == 1 else f"{count} mismatches"


def _listing(found: list[str]) -> str:
    more = [f"... and {len(found) - MAX_MISMATCHES} more"] if len(found) > MAX_MISMATCHES else []
    return "\n".join([*found[:MAX_MISMATCHES], *more])
