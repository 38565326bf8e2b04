"""regenSolr: the reference dump is indexed once, by a real Solr, and the index becomes an image.

Nothing gets its name before it is proved, and nothing that the run made is left after it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale import environments
from haybale.errors import HaybaleError
from haybale.images import build
from haybale.index import bake, load, verify
from haybale.tools import docker, process
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haybale.config import Project
    from haybale.report.terminal import Terminal
    from haybale.tools.compose import Compose

# Labels of the baked image, and of what a run leaves nowhere.
DUMP_LABEL = "io.haybale.dump"
COUNTS_LABEL = "io.haybale.counts"
RUN_LABEL = "io.haybale.run"


@dataclass(frozen=True, kw_only=True)
class Baked:
    """An index image: its name, the documents of each model (app.model -> count), the index's bytes."""

    image: str
    counts: Mapping[str, int]
    size: int


def regenerate(project: Project, terminal: Terminal, *, keep: bool = False) -> Baked:
    """Index the dump, prove the index, bake it, prove the image, and only then name it `TAG-solr`.

    `keep` leaves the services for debugging. Raises a `HaybaleError` of the step that failed.
    """
    run = environments.new_run()
    name = build.image_name(project, "solr")
    with _leaving_nothing(project, run, keep=keep), tempfile.TemporaryDirectory(prefix="haybale-") as scratch:
        made = environments.indexing(project, run, terminal.say)
        index = Path(scratch) / "data"
        terminal.say("starting Solr and the site")
        if keep:
            terminal.say(made.services.kept)
        with made.services.up(keep=keep), _explained(made.services):
            counts = _load(project, made.services, terminal)
            container = made.services.container("solr")
            terminal.say("optimising, then stopping Solr")
            _solr(project, made.services).optimize()
            bake.stop(container)
            size = bake.take(container, project.settings, index)
        terminal.say(f"baking {size / 1e6:.1f} MB of index")
        unproved = f"{project.settings.name}-solr-unproved:{run}"
        labels = {DUMP_LABEL: made.dump.sha256, COUNTS_LABEL: verify.shown(counts)}
        build.solr(project, unproved, index, labels=labels, say=terminal.say)
        terminal.say("starting the baked image to count its documents")
        bake.prove(unproved, project.settings, counts, {RUN_LABEL: run})
        docker.tag(unproved, name)
    total = sum(counts.values())
    terminal.done(f"{name}: {total} documents of {len(counts)} models, as in the database")
    return Baked(image=name, counts=counts, size=size)


def counts_of(labels: Mapping[str, str]) -> Mapping[str, int]:
    """Return the counts (app.model -> documents) that an index image's labels carry."""
    return {str(name): int(count) for name, count in json.loads(labels[COUNTS_LABEL]).items()}


def is_current(project: Project) -> tuple[bool, str]:
    """Return whether the baked image exists and holds the present dump, and if not, why not."""
    name = build.image_name(project, "solr")
    image = docker.image(name)
    if image is None:
        return False, f"there is no image {name} yet"
    if image.labels.get(DUMP_LABEL) != environments.unpack_dump(project).sha256:
        return False, f"{name} was made from another dump"
    return True, ""


def _load(project: Project, services: Compose, terminal: Terminal) -> Mapping[str, int]:
    """Load and verify, in the site's container; return the documents of each model."""
    settings = project.settings.index
    terminal.say("loading")
    with terminal.progress() as advance:
        loaded = load.load(
            services.exec("loader", load.command(settings.batch)),
            lambda progress: advance(progress.model, progress.done, progress.total),
        )
        for model in loaded.models:
            advance(model.model, model.database, model.database)
    for note in loaded.notes:
        terminal.say(note)
    terminal.say(f"verifying: counts, and {settings.sample} documents of each model field by field")
    report = verify.verify(services.exec("loader", verify.command(loaded, settings.sample)))
    verify.judge(report)
    terminal.say(f"{report.compared} documents are equal field by field (seed {report.seed})")
    return loaded.counts(project.settings.core)


def _solr(project: Project, services: Compose) -> Solr:
    return Solr(f"http://{services.port('solr', 8983)}", project.settings.core)


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
    """Remove what the run made besides its services: images without their final name, containers, folders."""
    try:
        yield
    finally:
        if not keep:
            with process.uninterrupted():
                docker.sweep(RUN_LABEL, run)
                for name in ("empty", "unproved"):
                    docker.remove_image(f"{project.settings.name}-solr-{name}:{run}")
                shutil.rmtree(project.scratch / "insite" / run, ignore_errors=True)
