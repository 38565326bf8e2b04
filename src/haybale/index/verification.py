"""Judge whether an index is the database's: every count, and every field that was compared.

`insite/verify.py` looks, in the site's container; here its findings are read and judged. The baked image is
judged by its counts alone, for which no site is needed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import VerifyError
from haybale.index.loader import Loaded, Progress, dump, follow, of, progress_of, understood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Of the report that an image carries.
FORMAT = 1

# Mismatches that an error lists.
LISTED = 40


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's rows in the database, its documents sent, skipped, in Solr, found by Haystack, compared."""

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
class Core:
    """A core's documents of each type (app.model; "" for documents without one), expected and found."""

    core: str
    expected: Mapping[str, int]
    found: Mapping[str, int]
    total: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field of a row whose value in Solr is not the prepared one (both shortened; None: nothing)."""

    model: str
    key: str
    field: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return (
            f"{self.model} {self.key}, field {self.field}: expected {self.expected!r}, found {self.found!r}"
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the verification saw. `wrong` counts all differences, `differences` has the first of them.

    `whole`: every document was compared; else `seed` draws the same sample again. Solr can't give back the
    fields in `not_comparable`.
    """

    seed: int
    whole: bool
    models: tuple[Model, ...]
    cores: tuple[Core, ...]
    wrong: int
    differences: tuple[Difference, ...]
    not_comparable: tuple[str, ...]

    @property
    def compared(self) -> int:
        """The number of documents that were compared field by field."""
        return sum(model.sample for model in self.models)


def command(loaded: Loaded, sample: int, seed: int | None = None) -> list[str]:
    """Return the verification's command line in the site's container: `sample` documents of each model."""
    draw = [] if seed is None else ["--seed", str(seed)]
    return ["python", "/haybale/verify.py", "--sample", str(sample), *draw, "--loaded", dump(loaded)]


def verify(lines: Iterable[str], progress: Callable[[Progress], None] = lambda _: None) -> Report:
    """Follow the verification through its lines and return what it saw; `judge` judges it.

    Raises `LoadError` where it could not look.
    """
    last: Mapping[str, Any] = {}
    for event in follow(lines, "verified"):
        last = event
        if event["event"] == "progress":
            progress(progress_of(event))
    return of_event(last)


def of_event(last: Mapping[str, Any]) -> Report:
    """Return what the event `verified` says; raises `LoadError` where it can't be understood."""
    with understood(last):
        return Report(
            seed=int(last["seed"]),
            whole=bool(last["whole"]),
            models=tuple(of(Model, model) for model in last["models"]),
            cores=tuple(of(Core, core) for core in last["cores"]),
            wrong=int(last["wrong"]),
            differences=tuple(of(Difference, each) for each in last["differences"]),
            not_comparable=tuple(last["not_comparable"]),
        )


def document(report: Report) -> str:
    """Return what a right report says, as JSON: an image's label (see `parse`)."""
    said = {
        "format": FORMAT,
        "seed": report.seed,
        "whole": report.whole,
        "models": [asdict(model) for model in report.models],
        "not_comparable": list(report.not_comparable),
    }
    return json.dumps(said, separators=(",", ":"))


def parse(text: str) -> Report:
    """Return the report that a label holds; raises `VerifyError` where it is none of this format."""
    try:
        said = json.loads(text)
        if said["format"] != FORMAT:
            raise VerifyError(
                f"the report of the verification has format {said['format']}, not {FORMAT}",
                cause="another version of haybale made the image",
                hint="read it with that one, or regenerate the index",
            )
        return Report(
            seed=int(said["seed"]),
            whole=bool(said["whole"]),
            models=tuple(of(Model, model) for model in said["models"]),
            cores=(),
            wrong=0,
            differences=(),
            not_comparable=tuple(said["not_comparable"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerifyError(
            f"the report of the verification can't be read: {text[:200]}",
            cause="another tool wrote that label, or it was cut off",
            hint="regenerate the index",
        ) from error


def judge(report: Report) -> None:
    """Raise `VerifyError` that lists every mismatch, where there is one."""
    found = mismatches(report)
    if found:
        # Not every difference is told one by one.
        number = len(found) - len(report.differences) + report.wrong
        raise VerifyError(
            f"the index is not the database's: {_number(number)}",
            cause="documents were lost or changed on their way, or the database changed meanwhile",
            hint=f"mend that and load again (--seed {report.seed} draws the same sample)",
            log=_listing(found),
        )


def mismatches(report: Report) -> list[str]:
    """Return every way in which the index is not the database's, a sentence each."""
    found = []
    for model in report.models:
        met = model.documents + model.skipped
        if met != model.database:
            found.append(
                f"{model.model}: the database has {model.database} rows, the loader met {met} "
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
        found.extend(count_mismatches(core.expected, core.found))
        if core.total != sum(core.found.values()):
            found.append(
                f"{core.core}: {core.total} documents in all, {sum(core.found.values())} by their type"
            )
    if not any(core.expected for core in report.cores):
        found.append("nothing was loaded at all")
    return found + [str(difference) for difference in report.differences]


def check_counts(expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Raise `VerifyError` where an index's counts (app.model -> documents) are not the expected ones."""
    wrong = count_mismatches(expected, found)
    if wrong:
        raise VerifyError(
            f"the index does not hold what was loaded: {_number(len(wrong))}",
            cause="another index is served, or it was damaged after it was loaded",
            hint="regenerate the index",
            log=_listing(wrong),
        )


def count_mismatches(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return a sentence for each type whose count is not the expected one; absent counts as 0."""
    sentences = []
    for name in sorted({*expected, *found}):
        want, have = expected.get(name, 0), found.get(name, 0)
        if want != have:
            foreign = "" if name in expected else ", of a type that was not loaded"
            what = name or "documents without a type"
            sentences.append(f"{what}: {want} expected, {have} found ({have - want:+d}){foreign}")
    return sentences


def shown(counts: Mapping[str, int]) -> str:
    """Return counts as JSON, always in the same order: an image's label."""
    return json.dumps(dict(sorted(counts.items())), separators=(",", ":"))


def _number(count: int) -> str:
    return f"{count} mismatch" if count == 1 else f"{count} mismatches"


def _listing(found: list[str]) -> str:
    more = [f"... and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return "\n".join([*found[:LISTED], *more])
