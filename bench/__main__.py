"""Measure: `nox -s bench -- [DOCUMENTS ...] [--site] [--rounds N] [--measure WHAT]`.

`loading`: Haystack's loader and ours run in turn, each on a fresh Solr in a container, N times.
`verification`: ours, comparing nothing, a sample, all. `baking`: from the last document to the named image.
docs/bench.md says what the figures mean. They go to docs/bench.json (what was measured; the rest stays) and
docs/bench.svg.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import secrets
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench import baking, chart, corpus, measure, postgresql, results
from haybale import config
from haybale.checkout import read_checkout
from haybale.dump.service import unpack_dump
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image
from haybale.images.build import ensure_stage
from haybale.index.loader import FOLDER, copy_loader
from haybale.loader.options import ALL_DOCUMENTS
from haybale.tools import process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parent.parent
SIZES = (100_000,)
BATCHES = "/batches"

# Columns of a table where there is no terminal.
WIDTH = 120

# Bytes on the disk for each document of the corpus: the database, its batches, Solr's index and logs.
BYTES_PER_DOCUMENT = 8_000


def main() -> None:
    """Measure what the options say and write the results."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("sizes", metavar="DOCUMENTS", type=int, nargs="*", help="of the corpus (100000)")
    parser.add_argument("--site", action="store_true", help="the reference site with its own dump, too")
    parser.add_argument("--postgresql", action="store_true", help="the corpus in PostgreSQL, not in SQLite")
    parser.add_argument(
        "--measure", choices=MEASUREMENTS, default="loading",
        help="against Haystack, with and without verification, or from the last document to the image",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--into", type=Path, default=ROOT / "docs", help="folder of bench.json and bench.svg")
    options = parser.parse_args()
    sizes = options.sizes or ([] if options.site else SIZES)
    console = Console(stderr=True, highlight=False)
    run = secrets.token_hex(4)
    found = {}
    process.exit_on_signals()
    try:
        with tempfile.TemporaryDirectory(prefix="haybale-bench-") as folder:
            # The containers' own users read and write here.
            Path(folder).chmod(0o777)
            for case in cases(Path(folder), sizes, run, options, console):
                found[case.name] = MEASUREMENTS[options.measure](case, run, options.rounds, console)
                print_figures(
                    Console(width=None if console.is_terminal else WIDTH), case.name, found[case.name]
                )
    finally:
        with process.uninterrupted():
            sdk.remove_labelled(measure.LABEL, run)
    write_results(options.into, found)


def cases(
    folder: Path, sizes: Sequence[int], run: str, options: argparse.Namespace, console: Console
) -> Iterator[measure.Case]:
    """Yield what is to be measured, each made when its turn comes."""
    project = config.load(ROOT, os.environ)
    checkout = read_checkout(project, os.environ)
    ensure_base_image(ImageRef.parse(project.settings.images.solr), "solr", checkout.env, console.print)
    ensure_stage(checkout, "release", console.print)
    image = str(checkout.stage_image("release"))
    loader = folder / "loader"
    copy_loader(loader)
    tools = folder / "bench"
    shutil.copytree(measure.HERE / "site", tools, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(measure.HERE / "incontainer.py", tools)
    code_mounts = {str(loader): FOLDER, str(tools): "/bench"}
    for each in sizes:
        measure.check_free_space(folder, each * BYTES_PER_DOCUMENT)
        with case_folder(folder) as (database, mounts):
            case = measure.Case(
                name=f"{each:,} documents", image=image, solr_image=project.settings.images.solr,
                workdir="/bench", core="notes", conf=measure.HERE / "site/solr", documents=each,
                env={"DJANGO_SETTINGS_MODULE": "bench_settings"}, mounts={**mounts, **code_mounts},
            )  # fmt: skip
            console.print(f"writing a corpus of {each:,} documents")
            if options.postgresql:
                server = project.settings.images.postgres
                ensure_base_image(ImageRef.parse(server), "postgres", checkout.env, console.print)
                with postgresql.running_server(
                    server, each, database.parent, (measure.LABEL, run)
                ) as container:
                    env = {**case.env, "DATABASE_URL": postgresql.URL}
                    yield replace(case, name=f"{case.name} in PostgreSQL", env=env, server=container)
            else:
                corpus.write_sqlite(database, each)
                yield case
    if options.site:
        with case_folder(folder) as (database, mounts):
            shutil.copyfile(unpack_dump(project).path, database)
            yield measure.Case(
                name="the reference site", image=image, solr_image=project.settings.images.solr,
                workdir="/app", core=project.settings.cores[0],
                conf=project.path(project.settings.solr_conf_folders[0]),
                env={"SECRET_KEY": secrets.token_hex(8), "ALLOWED_HOSTS": "localhost"},
                mounts={**mounts, **code_mounts},
            )  # fmt: skip


@contextlib.contextmanager
def case_folder(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Make folders for a case's database and batches for the length of the block: (database file, mounts)."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as made:
        data, batches = Path(made, "data"), Path(made, "batches")
        data.mkdir()
        batches.mkdir()
        yield data / "db.sqlite3", {str(data): "/data", str(batches): BATCHES}


def measure_loading(case: measure.Case, run: str, rounds: int, console: Console) -> dict[str, Any]:
    """Measure every loader in turn, `rounds` times."""
    variants: dict[str, Callable[[], measure.Run]] = {
        results.USUAL: lambda: measure.run_haystack(case, run, "-b500", "-k4"),
        results.BEST: lambda: measure.run_haystack(case, run, "-b1000", "-k2"),
        results.OURS: lambda: measure.run_haybale(case, run),
    }
    runs: dict[str, list[measure.Run]] = {name: [] for name in variants}
    prepared, sent = [], []
    for number in range(1, rounds + 1):
        for name, measured in variants.items():
            runs[name].append(measured())
            console.print(f"{case.name}, round {number}: {name} {runs[name][-1].wall:.1f} s")
        prepared.append(measure.prepare(case, run, BATCHES))
        sent.append(measure.send(case, run, BATCHES))
        alone = f"{prepared[-1].loader_cpu:.1f} and {sent[-1].solr_cpu:.1f} CPU seconds"
        console.print(f"{case.name}, round {number}: preparing alone, and Solr alone: {alone}")
    return {
        **results.summarize(runs, prepared, sent, os.cpu_count() or 1),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "engine": sdk.engine_info().version,
        },
    }


def measure_verification(case: measure.Case, run: str, rounds: int, console: Console) -> dict[str, Any]:
    """Measure our loader comparing nothing, a sample and all documents in turn, `rounds` times."""
    samples = {results.ALONE: 0, results.SAMPLE: measure.SAMPLE, results.FULL: ALL_DOCUMENTS}
    runs: dict[str, list[measure.Run]] = {name: [] for name in samples}
    for number in range(1, rounds + 1):
        for name, sample in samples.items():
            runs[name].append(measure.run_haybale(case, run, sample))
            console.print(f"{case.name}, round {number}: {name} {runs[name][-1].wall:.1f} s")
    return {
        "documents": runs[results.FULL][0].documents,
        "verification": results.summarize_verification(runs),
    }


def measure_baking(case: measure.Case, run: str, rounds: int, console: Console) -> dict[str, Any]:
    """Measure from the last document to the image, and the least that anybody must do, `rounds` times."""
    runs = []
    for number in range(1, rounds + 1):
        runs.append(baking.bake_case(case, run))
        ours, least = sum(runs[-1].steps.values()), sum(runs[-1].least.values())
        console.print(f"{case.name}, round {number}: ours {ours:.1f} s, the least {least:.1f} s")
    return {"documents": case.documents, "baking": baking.summarize(runs)}


MEASUREMENTS = {"loading": measure_loading, "verification": measure_verification, "baking": measure_baking}


def print_figures(console: Console, name: str, found: dict[str, Any]) -> None:
    """Print the figures of a case."""
    heading, *rows = results.table_rows(found)
    table = Table(title=name, title_justify="left")
    for number, each in enumerate(heading):
        table.add_column(each, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def write_results(folder: Path, found: dict[str, Any]) -> None:
    """Write the results beside those of other sizes, and draw them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bench.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    every = {**known, **{name: {**known.get(name, {}), **each} for name, each in found.items()}}
    file.write_text(json.dumps(every, indent=2) + "\n", encoding="utf-8")
    groups = [
        (
            name,
            {variant: each["seconds"] for variant, each in case["variants"].items()},
            case["floor"]["seconds"],
            case["ratios"][results.USUAL],
        )
        for name, case in sorted(every.items(), key=lambda item: item[1]["documents"])
        if "variants" in case
    ]
    names = {
        results.USUAL: "Haystack -b500 -k4",
        results.BEST: "Haystack -b1000 -k2",
        results.OURS: "haybale",
    }
    (folder / "bench.svg").write_text(chart.draw_chart(groups, names), encoding="utf-8")


if __name__ == "__main__":
    main()
