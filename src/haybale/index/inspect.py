"""What an index image says of itself: its key, its documents, and how they were verified."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from haybale.index import image as current
from haybale.index import key_diff as why
from haybale.index.key import KEY_LABEL, Key, compute_key
from haybale.index.verification import VerificationReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project

# Digits of a component's digest that are shown.
SHORT = 12


def find(project: Project, name: str) -> tuple[str, Mapping[str, str]]:
    """Return the name and the labels of an index image; "" is the one of the present inputs.

    Raises `UsageError` where there is none.
    """
    return why.index_image(project, name or compute_key(project).value)


def document(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return what an image says, for programs: {image, key, components, counts, verification, advice}.

    `verification` is None where an older haybale made the image. Raises `ConfigError`, `VerifyError` for
    labels that can't be read.
    """
    found = Key.from_json(labels[KEY_LABEL])
    report = labels.get(current.REPORT_LABEL)
    verified = None
    if report:
        read = VerificationReport.from_json(report)
        verified = {
            "seed": read.seed,
            "whole": read.whole,
            "compared": read.compared,
            "models": [asdict(model) for model in read.models],
            "not_comparable": list(read.not_comparable),
        }
    return {
        "image": name,
        "key": found.value,
        "components": {each.name: each.value or each.digest for each in found.components.values()},
        "counts": dict(current.counts_of(labels)),
        "verification": verified,
        "advice": list(current.advice_of(labels)),
    }


def as_json(said: Mapping[str, Any]) -> str:
    """Return the document as JSON."""
    return json.dumps(said, indent=2)


def table(said: Mapping[str, Any]) -> Table:
    """Return the documents of each model, and what was looked at, as a table."""
    shown = Table(title=f"{sum(said['counts'].values()):,} documents", title_justify="left")
    shown.add_column("model")
    for heading in ("rows", "documents", "skipped", "found by Haystack", "compared"):
        shown.add_column(heading, justify="right")
    verified = said["verification"]
    models = verified["models"] if verified else []
    for model in models:
        numbers = (model[name] for name in ("database", "found", "skipped", "queried", "sample"))
        shown.add_row(model["model"], *(f"{number:,}" for number in numbers))
    for name, count in said["counts"].items():
        if not any(model["model"] == name for model in models):
            shown.add_row(name, "", f"{count:,}", "", "", "")
    return shown


def lines(said: Mapping[str, Any]) -> list[str]:
    """Return what else is to be said, a line each."""
    verified = said["verification"]
    found = [f"image  {said['image']}", f"key    {said['key']}"]
    found += [f"         {name}: {str(value)[:SHORT]}" for name, value in said["components"].items()]
    found += [f"sooner {each}" for each in said["advice"]]
    if verified is None:
        return [*found, "it carries no report of its verification (an older haybale made it)"]
    how = "all documents" if verified["whole"] else f"a sample (seed {verified['seed']})"
    found.append(f"{verified['compared']:,} documents were compared field by field: {how}")
    if verified["not_comparable"]:
        found.append(f"Solr gives these fields not back: {', '.join(verified['not_comparable'])}")
    return found
