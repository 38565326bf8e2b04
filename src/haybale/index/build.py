"""regenSolr: the reference dump is indexed once, by a real Solr, and the index becomes an image.

Nothing gets its name before it is proved, and nothing that the run made is left after it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import HaybaleError, LoadError
from haybale.images import build
from haybale.index import bake
from haybale.index import image as current
from haybale.index import stack as environments
from haybale.index.audit import check_unknown_inputs
from haybale.index.key import compute_key
from haybale.index.key_diff import remember_key
from haybale.index.loader import follow_loader, loader_command
from haybale.index.verification import raise_if_invalid
from haybale.loader.options import ALL_DOCUMENTS
from haybale.tools import git, process
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haybale.config import Project
    from haybale.index.key import Key
    from haybale.index.verification import VerificationReport
    from haybale.loader.events import Refusal
    from haybale.terminal import Terminal
    from haybale.tools.engine.compose import Compose


# Where all documents are told that are not in the index, in the folder of reports.
REFUSED = "refused.jsonl"


def regenerate(
    project: Project, index_key: Key, terminal: Terminal, *, run: str = "", keep: bool = False
) -> current.IndexImage:
    """Index the dump, prove the index, bake it, prove the image, and only then name it `REGISTRY:solr-KEY`.

    `run` names what is made on the way (default: a new name), `keep` leaves the services for debugging.
    Raises a `HaybaleError` of the step that failed.
    """
    run = run or environments.new_run()
    name = current.name(project, index_key)
    with _leaving_nothing(project, run, keep=keep), tempfile.TemporaryDirectory(prefix="haybale-") as scratch:
        made = environments.indexing(project, run, index_key, terminal.say)
        index = Path(scratch) / "data"
        terminal.say("starting Solr and the site")
        if keep:
            terminal.say(made.services.keep_notice)
        with made.services.up(keep=keep), _explained(made.services):
            counts, report, advice = _load(project, made.services, terminal)
            container = made.services.container_id("solr")
            if project.settings.index.optimize:
                terminal.say("rewriting the index into one segment")
                _solr(project, made.services).optimize()
            terminal.say("stopping Solr")
            bake.stop_solr(container)
            size = bake.copy_index(container, project.settings, index)
        sizes = ", ".join(f"{part} {size / 1e6:.1f}" for part, size in bake.sizes_by_part(index).items())
        terminal.say(f"baking {size / 1e6:.1f} MB of index ({sizes})")
        unproved = f"{project.settings.name}-solr-unproved:{run}"
        labels = current.labels(index_key, counts, report, advice)
        build.solr(project, unproved, index, labels=labels, say=terminal.say)
        terminal.say("starting the baked image to count its documents")
        bake.verify_image(unproved, project.settings, counts, {current.RUN_LABEL: run})
        _check_unchanged(project, index_key)
        sdk.tag_image(unproved, name)
        baked = current.on_engine(project, index_key)
    if baked is None:
        raise LoadError(f"{name} was made and is not there", cause="somebody removed it", hint="try again")
    current.remember(project, baked.id)
    head = git.read_head(project.root)
    remember_key(project, index_key, head.revision if head else build.UNKNOWN_REVISION)
    terminal.done(f"{name}: {sum(counts.values())} documents of {len(counts)} models, as in the database")
    return baked


def _check_unchanged(project: Project, index_key: Key) -> None:
    """Raise `LoadError` where an input changed while it was being indexed: the image would lie."""
    now = compute_key(project)
    changed = [name for name, each in now.components.items() if each != index_key.components.get(name)]
    if now.value != index_key.value:
        raise LoadError(
            f"the inputs of the index changed while they were being indexed: {', '.join(changed)}",
            cause="somebody edited the work tree meanwhile",
            hint="regenerate once more",
        )


def _load(
    project: Project, services: Compose, terminal: Terminal
) -> tuple[Mapping[str, int], VerificationReport, tuple[str, ...]]:
    """Load and verify, in the site's container; return the documents of each model, report and advice."""
    settings = project.settings.index
    sample = ALL_DOCUMENTS if settings.verify == "full" else settings.sample
    command = loader_command(batch=settings.batch, workers=settings.workers, sample=sample)
    terminal.say("loading")
    with terminal.progress() as advance, _noting(project) as refused:
        loaded = follow_loader(
            services.exec("loader", command),
            lambda progress: advance(progress.model, progress.done, progress.total),
            refused,
            last="verified",
        )
        for model in loaded.models:
            advance(model.model, model.database, model.database)
    for note in (*loaded.notes, *check_unknown_inputs(loaded.unknown, project.settings)):
        terminal.say(note)
    advice = tuple(f"{each.label}: {each.text}" for each in loaded.advice)
    for each in advice:
        terminal.advise(each)
    report = loaded.verification()
    raise_if_invalid(report)
    drawn = "that is all of them" if report.whole else f"seed {report.seed}"
    terminal.say(f"counts are right, {report.compared} documents are equal field by field ({drawn})")
    return loaded.counts(project.settings.core), report, advice


@contextlib.contextmanager
def _noting(project: Project) -> Iterator[Callable[[Refusal], None]]:
    """Give what takes refused documents: a line each of a file, which the error names."""
    file = project.reports / REFUSED
    file.unlink(missing_ok=True)
    noted = 0

    def note(each: Refusal) -> None:
        nonlocal noted
        noted += 1
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(each._asdict()) + "\n")

    try:
        yield note
    except LoadError as error:
        if noted > 1:
            error.hint = f"{error.hint}; all {noted} are in {file}".lstrip("; ")
        raise


def _solr(project: Project, services: Compose) -> Solr:
    return Solr(f"http://{services.published_address('solr', 8983)}", project.settings.core)


@contextlib.contextmanager
def _explained(services: Compose) -> Iterator[None]:
    """Add to a failure what the services say: which one has ended, and the end of its log."""
    try:
        yield
    except HaybaleError as error:
        for state in services.states():
            if state["State"] == "exited" and state["Service"] == "solr" and not error.log:
                error.cause = f"Solr has ended, with exit code {state['ExitCode']}; {error.cause}".rstrip(
                    "; "
                )
                error.log = services.log_tail("solr")
        raise


@contextlib.contextmanager
def _leaving_nothing(project: Project, run: str, *, keep: bool) -> Iterator[None]:
    """Remove what the run made besides its services."""
    try:
        yield
    finally:
        if not keep:
            with process.uninterrupted():
                sweep(project, run)


def sweep(project: Project, run: str) -> None:
    """Remove what a run made besides its services: images without their final name, containers, folders."""
    sdk.remove_labelled(current.RUN_LABEL, run)
    for name in ("empty", "unproved"):
        sdk.remove_image(f"{project.settings.name}-solr-{name}:{run}")
    shutil.rmtree(project.scratch / "loader" / run, ignore_errors=True)
    (project.scratch / "solrconfig" / f"{run}.xml").unlink(missing_ok=True)
