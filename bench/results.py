"""From runs to figures: medians, ratios within the run, and the share of the floor."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.measure import Run

ALONE, SAMPLE, FULL = "nothing is compared", "a sample", "all documents"
OURS, USUAL, BEST = "ours", "haystack -b500 -k4", "haystack -b1000 -k2"


def summarize(
    runs: Mapping[str, Sequence[Run]], preparing: Sequence[Run], sending: Sequence[Run], cores: int
) -> dict[str, Any]:
    """Return the figures of one size.

    Ratios are medians of the ratios within a round: what disturbs the machine disturbs both sides. Each
    round has a run of each variant, of `preparing` and of `sending`.
    The floor is the CPU seconds of preparing alone and of Solr taking the same documents, over the cores.
    """
    both = list(zip(preparing, sending, strict=True))
    floors = [(prepared.loader_cpu + sent.solr_cpu) / cores for prepared, sent in both]
    shares = [floor / run.wall for floor, run in zip(floors, runs[OURS], strict=True)]
    return {
        "documents": preparing[0].documents,
        "bytes": int(preparing[0].parts["bytes"]),
        "rounds": len(runs[OURS]),
        "floor": {
            "seconds": round(statistics.median(floors), 2),
            "preparing_cpu": round(statistics.median(run.loader_cpu for run in preparing), 2),
            "solr_cpu": round(statistics.median(run.solr_cpu for run in sending), 2),
            "cores": cores,
        },
        "variants": {name: _variant(each) for name, each in runs.items()},
        "ratios": {name: round(_ratio(each, runs[OURS]), 2) for name, each in runs.items() if name != OURS},
        "share_of_floor": round(statistics.median(shares), 3),
    }


def _ratio(theirs: Sequence[Run], ours: Sequence[Run]) -> float:
    return statistics.median(one.wall / other.wall for one, other in zip(theirs, ours, strict=True))


def _variant(runs: Sequence[Run]) -> dict[str, Any]:
    def median(values: list[float]) -> float:
        return round(statistics.median(values), 2)

    return {
        "seconds": median([run.wall for run in runs]),
        "every_run": [round(run.wall, 2) for run in runs],
        "documents_per_second": round(statistics.median(run.documents / run.wall for run in runs)),
        "loader_cpu": median([run.loader_cpu for run in runs]),
        "solr_cpu": median([run.solr_cpu for run in runs]),
        "largest_process_mb": median([max(run.peaks, default=0.0) for run in runs]),
        "processes_mb": [round(peak, 1) for peak in runs[-1].peaks[:8]],
        "solr_mb": median([run.solr_memory for run in runs]),
        "parts": {name: round(value, 2) for name, value in runs[-1].parts.items()},
    }


def summarize_verification(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return seconds with and without verification, and what it costs over loading alone (0.3: 30 % more)."""
    alone = runs[ALONE]
    return {
        "seconds": {
            name: round(statistics.median(run.wall for run in each), 2) for name, each in runs.items()
        },
        "costs": {name: round(_ratio(each, alone) - 1, 3) for name, each in runs.items() if name != ALONE},
    }


def table_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return what was measured of a case as rows of a table, the heading first."""
    if "verification" in found:
        return _verification_table(found["verification"])
    if "baking" in found:
        return _baking_table(found["baking"])
    return _loading_table(found)


def _verification_table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("compared", "wall", "costs")]
    for name, seconds in found["seconds"].items():
        cost = found["costs"].get(name)
        rows.append((name, f"{seconds:.1f} s", "" if cost is None else f"{cost:+.0%}"))
    return rows


def _baking_table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(f"an index of {found['index_mb']:.0f} MB", "wall")]
    rows += [(name, f"{seconds:.1f} s") for name, seconds in found["steps"].items()]
    rows.append(("all that", f"{found['seconds']:.1f} s, {found['ratio']:.2f} x the least"))
    rows += [(f"the least: {name}", f"{seconds:.1f} s") for name, seconds in found["least"].items()]
    return rows


def _loading_table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "wall", "docs/s", "loader CPU", "Solr CPU", "memory", "ours is")]
    for variant, each in found["variants"].items():
        ratio = found["ratios"].get(variant)
        rows.append(
            (
                variant,
                f"{each['seconds']:.1f} s",
                f"{each['documents_per_second']:,}",
                f"{each['loader_cpu']:.1f} s",
                f"{each['solr_cpu']:.1f} s",
                f"{each['largest_process_mb']:.0f} MB",
                f"{ratio:.2f} x as fast" if ratio else f"{found['share_of_floor']:.0%} of the floor",
            )
        )
    return rows
