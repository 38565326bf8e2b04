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
from haybale.files import make_ignored_folder
from haybale.image_ref import ImageRef
from haybale.images.build import build_solr_image
from haybale.images.stack import new_run_name
from haybale.index import bake
from haybale.index.audit import check_unknown_inputs
from haybale.index.home import (
    close_home,
    lays_out_core,
    repository_cores,
    serve_core,
    serving_changes,
    upgrade_changes,
    write_home,
)
from haybale.index.image import RUN_LABEL, find_local_image, index_labels, remember_verified
from haybale.index.key import compute_key
from haybale.index.key_diff import remember_key
from haybale.index.loader import follow_loader, loader_command
from haybale.index.serving import JVM_OPTIONS
from haybale.index.solr_start import wait_for_cores, watch_cores
from haybale.index.stack import prepare_index_stack, remove_index_stack
from haybale.index.verification import raise_if_invalid
from haybale.loader.options import ALL_DOCUMENTS
from haybale.tools import process
from haybale.tools.engine import sdk
from haybale.tools.engine.compose import KILLED
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.index.image import IndexImage
    from haybale.index.key import Key
    from haybale.index.loader import Loaded
    from haybale.index.stack import IndexStack
    from haybale.loader.events import Refusal
    from haybale.terminal import Terminal
    from haybale.tools.engine.compose import Compose


# The services that work while the index is loaded.
LOADING = {"solr": "Solr", "loader": "the site's container"}

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
        stack = prepare_index_stack(checkout, run, key, terminal.say)
        write_home(home, stack.cores, lays_out_first=lays_out_core(project))
        loaded = _index_dump(project, stack, home, terminal, keep=keep)
        cores = {core: loaded.counts(core) for core in stack.cores}
        is_closed = project.settings.index.is_closed
        configurations = repository_cores(project)
        serving = serving_changes(configurations, is_closed=is_closed)
        for change in serving:
            terminal.say(f"served otherwise than {change}")
        changes = (*upgrade_changes(configurations), *serving)
        labels = index_labels(key, cores, loaded.verification(), _advice_sentences(loaded), changes)
        options = JVM_OPTIONS if is_closed else ()
        first = next(iter(cores))
        build_solr_image(checkout, unverified, home, labels, terminal.say, core=first, options=options)
        terminal.say("starting the baked image as it is deployed, to count its documents")
        bake.verify_image(str(unverified), cores, {RUN_LABEL: run}, is_closed=is_closed)
        _raise_if_inputs_changed(project, key)
        sdk.tag_image(unverified, name)
        image = find_local_image(checkout, key)
    if image is None:
        raise LoadError(
            f"{name} was made and is missing",
            cause="the engine has no image of that name now",
            hint="try again",
        )
    remember_verified(checkout, image.id)
    remember_key(project, key, checkout.revision)
    counts, of_cores = image.counts, f" in {len(image.cores)} cores" if len(image.cores) > 1 else ""
    documents = f"{sum(counts.values())} documents of {len(counts)} models{of_cores}"
    terminal.done(f"{name}: {documents}, as in the database")
    return image


def unverified_image(project: Project, run: str) -> ImageRef:
    """Return the name of a run's baked image until it is verified."""
    return ImageRef.parse(f"{project.settings.name}-solr-unverified:{run}")


def remove_leftovers(project: Project, run: str) -> None:
    """Remove what a run made besides its services: images without their final name, containers, folders."""
    sdk.remove_labelled(RUN_LABEL, run)
    sdk.remove_image(unverified_image(project, run))
    remove_index_stack(project, run)


def _index_dump(project: Project, stack: IndexStack, home: Path, terminal: Terminal, *, keep: bool) -> Loaded:
    """Load and verify, stop Solr, and copy each core's index into the folder `home`, to be served."""
    services = stack.services
    terminal.say("starting Solr and the site")
    if keep:
        terminal.say(services.keep_notice)
    with (
        restored_database(
            services,
            terminal.advise,
            project.reports,
            keep=keep,
            watch=watch_cores(services, project, stack.cores),
        ),
        _explaining_with_logs(services),
    ):
        wait_for_cores(services, project, stack.cores)
        loaded = _load(project, stack, terminal)
        container = services.container_id("solr")
        if project.settings.index.optimize:
            terminal.say("rewriting the index into one segment")
            for core in stack.cores:
                Solr(f"http://{services.published_address('solr', 8983)}", core).optimize()
        terminal.say("stopping Solr")
        bake.stop_solr(container)
        size, is_closed = 0, project.settings.index.is_closed
        for core, conf in stack.cores.items():
            size += bake.copy_index(container, core, home / core / "data")
            with tempfile.TemporaryDirectory(prefix="haybale-") as made:
                bake.copy_configuration(container, core, Path(made))
                serve_core(home / core, conf, Path(made), loaded.counts(core) if is_closed else None)
        if is_closed:
            close_home(home, stack.cores)
    sizes = ", ".join(f"{part} {size / 1e6:.1f}" for part, size in bake.sizes_by_part(home).items())
    terminal.say(f"baking {size / 1e6:.1f} MB of index ({sizes})")
    return loaded


def _load(project: Project, stack: IndexStack, terminal: Terminal) -> Loaded:
    """Load and verify, in the site's container."""
    settings = project.settings.index
    sample = ALL_DOCUMENTS if settings.verify == "full" else settings.sample
    command = loader_command(
        batch=settings.batch,
        workers=settings.workers,
        sample=sample,
        cores=tuple(stack.cores),
        verify_ignore=settings.verify_ignore,
    )
    terminal.say("loading")
    with terminal.progress() as advance, _collecting_refused(project) as refused:
        loaded = follow_loader(
            stack.services.exec("loader", command),
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
    if report.exempt:
        terminal.say(f"not compared, by index.verify_ignore: {', '.join(report.exempt)}")
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
        cause = "their digests are others than when the run began, so the index would be of neither"
        raise LoadError(message, cause=cause, hint="regenerate once more: `haybale regen-solr-image`")


@contextlib.contextmanager
def _collecting_refused(project: Project) -> Iterator[Callable[[Refusal], None]]:
    """Give a function that writes refused documents, a line each, to a file, which the error then names."""
    file = project.reports / REFUSED
    file.unlink(missing_ok=True)
    count = 0

    def write(refused: Refusal) -> None:
        nonlocal count
        count += 1
        make_ignored_folder(file.parent)
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
    """Add to a failure what the engine says: who has exited, with the end of the log, or lacked memory."""
    try:
        yield
    except HaybaleError as error:
        seen = []
        for state in services.states():
            service = state["Service"]
            if service not in LOADING:
                continue
            has_exited = state["State"] == "exited"
            if has_exited:
                seen.append(f"{LOADING[service]} has exited, with code {state['ExitCode']}")
            if has_exited and not error.log:
                error.log = services.log_tail(service)
            container = sdk.container_state(services.container_id(service))
            if container.is_out_of_memory or (has_exited and state["ExitCode"] == KILLED):
                seen.append(f"{LOADING[service]}: {container.memory}")
        error.cause = "; ".join(filter(None, (*seen, error.cause)))
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
