"""regenSolr: the reference dump is indexed once, by a real Solr, and the index becomes an image.

Nothing gets its name before it is verified, and nothing that the run made is left after it.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.dump.service import restored_database
from haybale.errors import HaybaleError, LoadError
from haybale.image_ref import ImageRef
from haybale.images.build import build_solr_image
from haybale.images.stack import new_run_name
from haybale.index import bake
from haybale.index.audit import check_unknown_inputs
from haybale.index.home import core_folders, own_cores, serve_core, write_home
from haybale.index.image import RUN_LABEL, find_local_image, index_labels, remember_verified
from haybale.index.key import compute_key
from haybale.index.key_diff import remember_key
from haybale.index.loader import follow_loader, loader_command
from haybale.index.solrconfig import adapt_for_serving, serving_changes
from haybale.index.stack import prepare_index_stack, remove_index_stack
from haybale.index.verification import raise_if_invalid
from haybale.loader.options import ALL_DOCUMENTS
from haybale.tools import process
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.index.image import IndexImage
    from haybale.index.key import Key
    from haybale.index.loader import Loaded
    from haybale.loader.events import Refusal
    from haybale.terminal import Terminal
    from haybale.tools.engine.compose import Compose


# The file in the folder of reports that lists all documents that are not in the index.
REFUSED = "refused.jsonl"


def regenerate(
    checkout: Checkout, key: Key, terminal: Terminal, *, run: str | None = None, keep: bool = False
) -> IndexImage:
    """Index the dump, verify the index, bake it, verify the image, and only then name it `REGISTRY:solr-KEY`.

    `run` names what is made on the way (default: a new name), `keep` leaves the services for debugging.
    Raises a `HaybaleError` of what failed.
    """
    project, run = checkout.project, run or new_run_name()
    name, unverified = checkout.index_image(key.value), unverified_image(project, run)
    with _removing_leftovers(project, run, keep=keep) as folder:
        home = folder / "solr"
        cores = core_folders(project)
        services = prepare_index_stack(checkout, run, key, terminal.say)
        write_home(home, cores, own_cores(project))
        loaded = _index_dump(project, services, home, terminal, keep=keep)
        counts = loaded.counts(project.settings.core)
        serving = serving_changes(cores)
        for change in serving:
            terminal.say(f"served otherwise than in {project.settings.solr_conf}: {change}")
        labels = index_labels(key, counts, loaded.verification(), _advice_sentences(loaded), serving)
        build_solr_image(checkout, unverified, home, labels, terminal.say, core=project.settings.core)
        terminal.say("starting the baked image as it is deployed, to count its documents")
        bake.verify_image(str(unverified), {project.settings.core: counts}, {RUN_LABEL: run})
        _raise_if_inputs_changed(project, key)
        sdk.tag_image(unverified, name)
        image = find_local_image(checkout, key)
    if image is None:
        raise LoadError(f"{name} was made and is missing", cause="somebody removed it", hint="try again")
    remember_verified(checkout, image.id)
    remember_key(project, key, checkout.revision)
    terminal.done(f"{name}: {sum(counts.values())} documents of {len(counts)} models, as in the database")
    return image


def unverified_image(project: Project, run: str) -> ImageRef:
    """Return the name of a run's baked image until it is verified."""
    return ImageRef.parse(f"{project.settings.name}-solr-unverified:{run}")


def remove_leftovers(project: Project, run: str) -> None:
    """Remove what a run made besides its services: images without their final name, containers, folders."""
    sdk.remove_labelled(RUN_LABEL, run)
    sdk.remove_image(unverified_image(project, run))
    remove_index_stack(project, run)


def _index_dump(project: Project, services: Compose, home: Path, terminal: Terminal, *, keep: bool) -> Loaded:
    """Load and verify, stop Solr, and copy its index into its core in the folder `home`, to be served."""
    terminal.say("starting Solr and the site")
    if keep:
        terminal.say(services.keep_notice)
    with (
        restored_database(services, terminal.advise, keep=keep),
        _explaining_with_logs(services),
    ):
        loaded = _load(project, services, terminal)
        container = services.container_id("solr")
        if project.settings.index.optimize:
            terminal.say("rewriting the index into one segment")
            Solr(f"http://{services.published_address('solr', 8983)}", project.settings.core).optimize()
        terminal.say("stopping Solr")
        bake.stop_solr(container)
        for core, conf in core_folders(project).items():
            size = bake.copy_index(container, core, home / core / "data")
            with tempfile.TemporaryDirectory(prefix="haybale-") as made:
                bake.copy_configuration(container, core, Path(made))
                serve_core(home / core, adapt_for_serving(conf, core), Path(made))
    sizes = ", ".join(f"{part} {size / 1e6:.1f}" for part, size in bake.sizes_by_part(home).items())
    terminal.say(f"baking {size / 1e6:.1f} MB of index ({sizes})")
    return loaded


def _load(project: Project, services: Compose, terminal: Terminal) -> Loaded:
    """Load and verify, in the site's container."""
    settings = project.settings.index
    sample = ALL_DOCUMENTS if settings.verify == "full" else settings.sample
    command = loader_command(batch=settings.batch, workers=settings.workers, sample=sample)
    terminal.say("loading")
    with terminal.progress() as advance, _collecting_refused(project) as refused:
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
    for sentence in _advice_sentences(loaded):
        terminal.advise(sentence)
    report = loaded.verification()
    raise_if_invalid(report)
    sampled = "that is all of them" if report.whole else f"seed {report.seed}"
    terminal.say(f"counts are right, {report.compared} documents are equal field by field ({sampled})")
    return loaded


def _advice_sentences(loaded: Loaded) -> list[str]:
    return [f"{each.label}: {each.text}" for each in loaded.advice]


def _raise_if_inputs_changed(project: Project, key: Key) -> None:
    """Raise `LoadError` where an input changed while it was being indexed: the image would lie."""
    now = compute_key(project)
    changed = [name for name, each in now.components.items() if each != key.components.get(name)]
    if now.value != key.value:
        message = f"the inputs of the index changed while they were being indexed: {', '.join(changed)}"
        raise LoadError(message, cause="somebody edited the work tree meanwhile", hint="regenerate once more")


@contextlib.contextmanager
def _collecting_refused(project: Project) -> Iterator[Callable[[Refusal], None]]:
    """Give a function that writes refused documents, a line each, to a file, which the error then names."""
    file = project.reports / REFUSED
    file.unlink(missing_ok=True)
    count = 0

    def write(refused: Refusal) -> None:
        nonlocal count
        count += 1
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(refused._asdict()) + "\n")

    try:
        yield write
    except LoadError as error:
        if count > 1:
            error.hint = f"{error.hint}; all {count} are in {file}".lstrip("; ")
        raise


@contextlib.contextmanager
def _explaining_with_logs(services: Compose) -> Iterator[None]:
    """Add to a failure that Solr has exited, where it has, and the end of its log."""
    try:
        yield
    except HaybaleError as error:
        for state in services.states():
            if state["State"] == "exited" and state["Service"] == "solr" and not error.log:
                exited = f"Solr has exited, with code {state['ExitCode']}"
                error.cause = f"{exited}; {error.cause}".rstrip("; ")
                error.log = services.log_tail("solr")
        raise


@contextlib.contextmanager
def _removing_leftovers(project: Project, run: str, *, keep: bool) -> Iterator[Path]:
    """Yield a folder for the run; remove it after the block, and what the run made besides its services."""
    try:
        with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
            yield Path(folder)
    finally:
        if not keep:
            with process.uninterrupted():
                remove_leftovers(project, run)
