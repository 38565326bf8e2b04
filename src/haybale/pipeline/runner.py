"""Walk the way that a plan says, write down every step, and go on where a run died.

What a step made is written down as its product. A run that goes on repeats no finished step whose product is
still there, which is looked up, not assumed.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from haybale import config
from haybale.checkout import read_checkout
from haybale.errors import HaybaleError, ReleaseError, UsageError
from haybale.image_ref import ImageRef
from haybale.images.build import BASE_DIGEST, ensure_stage
from haybale.images.store import open_store
from haybale.index.build import regenerate, remove_leftovers
from haybale.index.image import find_local_image, find_verified_image, pull_index_image, verify_index_image
from haybale.index.key import compute_key
from haybale.pipeline import journal as log
from haybale.pipeline.context import Options, gather_facts
from haybale.pipeline.graph import State
from haybale.pipeline.plan import Plan, PlannedStep, make_plan
from haybale.pipeline.rendering import render_markdown, render_table, write_step_summary
from haybale.pipeline.summary import Outcome, RunSummary, StepOutcome
from haybale.release import bump, publish
from haybale.release.published import keep_record, read_kept_record, read_records
from haybale.release.record import ReleaseRecord, Suite
from haybale.release.remote import REMOTE
from haybale.testing import run as testrun
from haybale.testing.stack import TESTED_STAGES
from haybale.tools import git
from haybale.tools.engine import sdk
from haybale.version import PULL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from haybale.config import Project
    from haybale.index.image import IndexImage
    from haybale.index.key import Key
    from haybale.terminal import Terminal

    Product = Mapping[str, Any]

# The plain local name that untagSolrImage gives the index image.
PLAIN = ImageRef.parse("solr:latest")

# How often a run begins again when somebody else published first.
ATTEMPTS = 10


def pipeline(project: Project, options: Options, terminal: Terminal, *, take_next: bool = False) -> None:
    """Take a push the whole way (docs/pipeline.md).

    `take_next`: where somebody else published first, the next version is made on top of theirs. Raises a
    `HaybaleError` of the step that failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with log.begin(_runs(project)) as run:
                _clean_dead(project, run.name)
                began = time.monotonic()
                index_key = compute_key(project)
                planned = make_plan(
                    gather_facts(read_checkout(project, os.environ), index_key, options, os.environ)
                )
                run.write("planned", version=log.VERSION, run=run.name, plan=planned.to_dict())
                Walk(project, index_key, planned, run, terminal, push_index=options.push_index).walk(
                    {State.CHANGE_DETECTED: time.monotonic() - began}
                )
        except publish.PublishedFirstError as lost:
            if not take_next or attempt == ATTEMPTS:
                raise
            terminal.say(f"{lost.message}; going on from there")
            publish.catch_up(project.root, REMOTE, project.settings.main)
            options = replace(options, again=True)
        else:
            return


def resume(project: Project, name: str, terminal: Terminal, *, push_index: bool = False) -> None:
    """Go on with a run that died ("" for the last one). Raises `UsageError` where that is not possible."""
    with log.resume(_runs(project), name) as run:
        history = log.events(run.folder)
        document = log.planned(history)
        if log.ended(history) or document is None:
            raise UsageError(
                f"the run {run.name} can't go on",
                cause="it passed" if document else "it died before it had a plan",
                hint="just pipeline begins another one",
            )
        planned = Plan.from_dict(document)
        index_key = compute_key(project)
        head = git.read_head(project.root)
        revision = head.revision if head else ""
        # A run that died after it had published has brought the version's commit here.
        version_commit = _version_made(history).get("commit")
        if index_key.value != planned.facts.key or revision not in {planned.facts.revision, version_commit}:
            raise UsageError(
                f"the run {run.name} can't go on",
                cause=f"it began with commit {planned.facts.revision} and index key {planned.facts.key};"
                f" now they are {revision} and {index_key}",
                hint="just pipeline begins another one",
            )
        sweep(project, run.name)
        run.write("resumed")
        Walk(project, index_key, planned, run, terminal, history=history, push_index=push_index).walk({})


def sweep(project: Project, run: str) -> None:
    """Remove containers, volumes, networks and unfinished images that a run left when it died."""
    for short in ("solr", "ci"):
        sdk.remove_labelled("com.docker.compose.project", f"{project.settings.name}-{short}-{run}")
    remove_leftovers(project, run)


@dataclass(frozen=True, kw_only=True)
class _Action:
    """What a state does, giving its product, and whether a product is still there."""

    do: Callable[[], Product]
    there: Callable[[Product], bool]


class Walk:
    """One walk along a plan."""

    def __init__(
        self,
        project: Project,
        index_key: Key,
        planned: Plan,
        run: log.Run,
        terminal: Terminal,
        *,
        history: list[dict[str, Any]] | None = None,
        push_index: bool = False,
    ) -> None:
        """`history` has the events of the run so far, where it goes on."""
        self._project = project
        self._checkout = read_checkout(project, os.environ).for_pull_request(planned.facts.pull)
        self._key = index_key
        self._plan = planned
        self._run = run
        self._terminal = terminal
        self._history = history or []
        self._push_index = push_index or planned.facts.publish
        self._index: IndexImage | None = None
        # The tree that images are built from: of the version's own commit, where one is made.
        self._tree: bump.ReleaseTree | None = None
        self._built = self._checkout
        self._digests: dict[str, str] = {}
        # What became of the tests, by suite; nothing where none ran.
        self._tests: Mapping[str, Suite] = {}
        # What is tested, and so may be published: ids by name.
        self._chosen: Product = {}
        self._steps: list[StepOutcome] = []
        self._actions = {
            State.REGEN_SOLR: _Action(do=self._regen_solr, there=self._has_index),
            State.PULL_SOLR_IMAGE: _Action(do=self._pull_solr_image, there=self._has_index),
            State.UNTAG_SOLR_IMAGE: _Action(do=self._untag_solr_image, there=_has_image),
            State.BV_PATCH: _Action(do=lambda: self._bump("patch"), there=self._has_tree),
            State.BV_MERGE: _Action(do=lambda: self._bump("build"), there=self._has_tree),
            State.RETAG_SOLR_IMAGE: _Action(do=self._retag_solr_image, there=_has_image),
            State.BUILD_TEST_RUNNER: _Action(do=self._build_test_runner, there=self._has_layers),
            State.RUN_TESTS: _Action(do=self._run_tests, there=self._tested),
            State.PUBLISH: _Action(do=self._publish, there=self._published),
        }

    def walk(self, spent: Mapping[State, float]) -> None:
        """Take every step; `spent` has the seconds that states took before the walk."""
        if self._plan.facts.event == "pull-request":
            # Compose, builds and tests all ask the environment for it.
            os.environ.setdefault(PULL, self._plan.facts.pull or "")
        try:
            for step in self._plan.steps:
                self._take(step, spent.get(step.state, 0.0))
        except HaybaleError as error:
            self._run.write("ended", outcome="failed")
            self._tell(error)
            raise
        self._run.write("ended", outcome="passed")
        self._tell(None)
        if self._tree is not None:
            bump.remove_release_tree(self._project.root, self._tree.path)
        log.forget_old(_runs(self._project))

    def _take(self, step: PlannedStep, spent: float) -> None:
        self._terminal.state(step.state, step.reason, skipped=step.skip)
        began = time.monotonic()
        self._run.write("started", state=step.state)
        try:
            outcome, product = self._outcome(step)
        except HaybaleError as error:
            self._run.write("failed", state=step.state, message=error.message)
            self._note(step, "failed", time.monotonic() - began, error.message)
            raise
        seconds = spent + time.monotonic() - began
        self._run.write(
            "finished", state=step.state, outcome=outcome, seconds=round(seconds, 3), product=product
        )
        self._note(step, outcome, seconds, step.reason)

    def _outcome(self, step: PlannedStep) -> tuple[Outcome, Product]:
        if step.skip:
            return "skipped", {}
        action = self._actions.get(step.state)
        if action is None:
            return "done", {}
        product = log.product(self._history, step.state)
        if product is not None and action.there(product):
            self._terminal.say("done before, and still there")
            return "resumed", product
        return "done", action.do()

    def _note(self, step: PlannedStep, outcome: Outcome, seconds: float, reason: str) -> None:
        self._steps.append(StepOutcome(state=step.state, outcome=outcome, seconds=seconds, reason=reason))

    # What the states do -------------------------------------------------------------------------------

    def _regen_solr(self) -> Product:
        # A run that died may have come as far as the image, and not as far as writing that down.
        self._index = find_verified_image(self._checkout, self._key) if self._history else None
        if self._index is None:
            self._index = regenerate(self._checkout, self._key, self._terminal, run=self._run.name)
        return self._shared()

    def _pull_solr_image(self) -> Product:
        self._index = find_verified_image(self._checkout, self._key)
        if self._index is None:
            self._index = find_local_image(self._checkout, self._key)
            if self._index is not None:
                verify_index_image(self._checkout, self._index, self._run.name)
            else:
                images = open_store(self._project)
                self._index = pull_index_image(self._checkout, self._key, images, self._run.name)
        return self._shared()

    def _shared(self) -> Product:
        """Push the index image where that is asked for; what the registry has then is what is used."""
        index = self._proved_index()
        if self._push_index:
            images = open_store(self._project)
            digest = images.push_first(index.name)
            here = sdk.find_image(index.name)
            if here is None or digest not in {*here.digests, here.id}:
                self._terminal.say(f"somebody else pushed {index.name} first: using theirs")
                self._index = pull_index_image(self._checkout, self._key, images, self._run.name)
        return _product(self._proved_index().name)

    def _has_index(self, product: Product) -> bool:
        found = find_verified_image(self._checkout, self._key)
        if found is None or found.id != product["id"]:
            return False
        self._index = found
        return True

    def _untag_solr_image(self) -> Product:
        sdk.tag_image(self._proved_index().id, PLAIN)
        return _product(PLAIN)

    def _bump(self, part: bump.VersionPart) -> Product:
        self._use(bump.make_release_tree(self._project.root, part, self._run.folder / "tree", os.environ))
        tree = self._made_tree()
        self._terminal.say(f"{tree.version} will be commit {tree.commit[:12]}")
        return {
            "path": str(tree.path), "commit": tree.commit, "version": str(tree.version), "base": tree.base,
        }  # fmt: skip

    def _has_tree(self, product: Product) -> bool:
        tree = bump.read_release_tree(self._run.folder / "tree")
        if tree is None or tree.commit != product["commit"]:
            return False
        self._use(tree)
        return True

    def _use(self, tree: bump.ReleaseTree) -> None:
        self._tree = tree
        project = replace(config.load(tree.path, os.environ), origin=self._project.root)
        self._built = read_checkout(project, os.environ).for_pull_request(self._plan.facts.pull)

    def _retag_solr_image(self) -> Product:
        name = self._built.stage_image("solr")
        sdk.tag_image(self._proved_index().id, name)
        return _product(name)

    def _build_test_runner(self) -> Product:
        for stage in TESTED_STAGES:
            if not ensure_stage(self._built, stage, self._terminal.say):
                self._terminal.say(f"the stage {stage} is of this commit already")
        self._chosen = self._under_test()
        return self._layers()

    def _layers(self) -> Product:
        names = [self._built.stage_image(stage) for stage in TESTED_STAGES]
        return {"images": {str(name): _identity(name) for name in names}}

    def _has_layers(self, product: Product) -> bool:
        self._chosen = self._under_test()
        return self._layers() == product

    def _run_tests(self) -> Product:
        testrun.run_suites(self._built, self._proved_index().name, self._terminal, run=self._run.name)
        self._check_chosen()
        self._tests = testrun.results(self._built.project)
        return {**self._under_test(), "tests": {name: asdict(each) for name, each in self._tests.items()}}

    def _under_test(self) -> Product:
        return {**self._layers(), "index": _identity(self._proved_index().name)}

    def _check_chosen(self) -> None:
        """Raise `ReleaseError` where the names of what was built stand for something else by now."""
        if self._under_test() != self._chosen:
            raise ReleaseError(
                "the images of this run were replaced while it ran",
                cause="another run on this engine builds the same version",
                hint="run one after the other: just pipeline --resume",
            )

    def _tested(self, product: Product) -> bool:
        tests = product.get("tests", {})
        self._tests = {name: Suite(**each) for name, each in tests.items()}
        return {**self._under_test(), "tests": tests} == product

    def _publish(self) -> Product:
        tree, index = self._made_tree(), self._proved_index()
        self._check_chosen()
        root, main = self._project.root, self._project.settings.main
        publish.raise_if_taken(root, tree, REMOTE, main)
        try:
            record = self._record(index)
            if open_store(self._project).is_shared:
                keep_record(self._project, record)
            published = publish.push_version(root, tree, REMOTE, main, [record.tag_line])
        finally:
            # Somebody who published the same version meanwhile has pushed images of the same names.
            self._repair_images(tree)
        for note in published.notes:
            self._terminal.say(note)
        self._terminal.done(f"published {tree.version}")
        return {"version": str(tree.version), "commit": tree.commit, "images": self._digests}

    def _push_images(self, index: IndexImage) -> None:
        images = open_store(self._project)
        release = self._built.stage_image("release")
        named = self._built.stage_image("solr")
        self._terminal.say(f"pushing {release}")
        self._digests[str(release)] = images.push(release)
        self._terminal.say(f"naming the index {named}")
        self._digests[str(named)] = images.retag(index.name, named)

    def _record(self, index: IndexImage) -> ReleaseRecord:
        """Return what the version is made of; its images are in the registry then, where there is one."""
        release, named = self._built.stage_image("release"), self._built.stage_image("solr")
        images = open_store(self._project)
        if images.is_shared:
            self._push_images(index)
        digests = {name: self._digests.get(str(name)) or images.push(name) for name in (release, named)}
        repository = ImageRef.parse(self._project.settings.registry)
        components = self._key.components
        tree = self._made_tree()
        return ReleaseRecord(
            version=str(tree.version),
            commit=tree.commit,
            site=repository.with_digest(digests[release]),
            index=repository.with_digest(digests[named]),
            key=str(self._key),
            components={name: each.digest for name, each in components.items()},
            dump=components["dump"].value or "",
            bases={"site": _base(release), "index": _base(named)},
            counts=dict(index.counts),
            tests=self._tests,
        )

    def _repair_images(self, tree: bump.ReleaseTree) -> None:
        """Give the images of a version the names that its record says, whoever published it."""
        if not open_store(self._project).is_shared:
            return
        version = str(tree.version)
        record = read_records(self._project.root, version).get(version)
        if record is None:
            return
        images = open_store(self._project)
        release, named = self._built.stage_image("release"), self._built.stage_image("solr")
        for image, name in ((record.site, release), (record.index, named)):
            if images.digest(name) != image.digest:
                images.retag(image, name)
        if read_kept_record(self._project, record.version) != record:
            keep_record(self._project, record)

    def _published(self, product: Product) -> bool:
        return publish.is_published(
            self._project.root, REMOTE, str(product["version"]), str(product["commit"])
        )

    def _proved_index(self) -> IndexImage:
        if self._index is None:
            raise ReleaseError(
                "no index image was made on this way", cause="the plan has no step that makes one"
            )
        return self._index

    def _made_tree(self) -> bump.ReleaseTree:
        if self._tree is None:
            raise ReleaseError("no version was made on this way", cause="the plan has no step that makes one")
        return self._tree

    # What is told --------------------------------------------------------------------------------------

    def _tell(self, error: HaybaleError | None) -> None:
        facts_ = self._plan.facts
        index = self._index
        told = RunSummary(
            run=self._run.name,
            version=str(self._built.version),
            key=facts_.key,
            event=facts_.event,
            evidence=facts_.evidence,
            strategy=facts_.strategy,
            steps=tuple(self._steps),
            images=dict(self._digests),
            counts=dict(index.counts) if index else {},
            advice=index.advice if index else (),
            error=error,
        )
        aside = self._run.folder / "summary.new"
        aside.write_text(json.dumps(told.to_dict(), indent=2) + "\n", encoding="utf-8")
        aside.replace(self._run.folder / "summary.json")
        unwritten = write_step_summary(render_markdown(told), os.environ)
        if unwritten:
            self._terminal.say(unwritten)
        self._terminal.console.print(render_table(told))


def _runs(project: Project) -> Path:
    return project.scratch / "runs"


def _clean_dead(project: Project, living: str) -> None:
    """Remove what runs that died left on the engine, and their trees; their logs stay, to go on with."""
    for dead in log.dead(_runs(project), living):
        sweep(project, dead.name)
        history = log.events(dead.folder)
        try:
            if log.started(history, State.PUBLISH) and _has_published(project, history):
                dead.write("ended", outcome="passed")
        except ReleaseError:
            continue  # the remote does not answer: what was to be published may still be wanted
        bump.remove_release_tree(project.root, dead.folder / "tree")


def _has_published(project: Project, history: list[dict[str, Any]]) -> bool:
    """Return whether the version of a run that died while it published has arrived on the remote."""
    made = _version_made(history)
    return bool(made) and publish.is_published(
        project.root, REMOTE, str(made["version"]), str(made["commit"])
    )


def _version_made(history: list[dict[str, Any]]) -> Product:
    return log.product(history, State.BV_PATCH) or log.product(history, State.BV_MERGE) or {}


def _product(name: ImageRef) -> Product:
    return {"image": str(name), "id": _identity(name)}


def _identity(name: ImageRef | str) -> str:
    found = sdk.find_image(name)
    return "" if found is None else found.id


def _base(name: ImageRef) -> str:
    found = sdk.find_image(name)
    return found.labels.get(BASE_DIGEST, "") if found else ""


def _has_image(product: Product) -> bool:
    return bool(product["id"]) and _identity(str(product["image"])) == product["id"]
