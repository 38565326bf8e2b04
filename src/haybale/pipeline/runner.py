"""Run the steps of a plan, write each of them to the journal, and resume where a run died.

A run that resumes repeats no finished step whose result is still there.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from haybale.checkout import read_checkout
from haybale.errors import HaybaleError, HookError, ReleaseError, UsageError
from haybale.files import write_atomically
from haybale.images.store import open_store
from haybale.index import build
from haybale.index.image import IndexImage
from haybale.index.key import compute_key
from haybale.pipeline import journal
from haybale.pipeline.context import Context, Options, Result, gather_facts
from haybale.pipeline.graph import GRAPH, Kind
from haybale.pipeline.hooks import HookRunner, StepEnd
from haybale.pipeline.plan import Plan, PlannedStep, make_plan
from haybale.pipeline.rendering import render_markdown, render_table, write_step_summary
from haybale.pipeline.steps import STEPS, PublishedVersion
from haybale.pipeline.summary import Outcome, RunSummary, StepOutcome
from haybale.release.bump import ReleaseTree, raise_if_no_tool, remove_release_tree
from haybale.release.publish import PublishedFirstError, catch_up, is_in_version, is_published
from haybale.release.remote import REMOTE
from haybale.states import State
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from haybale.config import Project
    from haybale.terminal import Terminal

# How often a run begins again when somebody else published first.
ATTEMPTS = 10


def run_pipeline(
    project: Project, options: Options, terminal: Terminal, env: Mapping[str, str], *, take_next: bool = False
) -> None:
    """Take a push the whole way (docs/pipeline.md).

    Where somebody else published first and their version has this run's commit, nothing is left to do;
    `take_next`: where it has not, the next version is made on top of theirs. Raises the `HaybaleError` of
    the step that failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with journal.begin_run(_runs(project)) as run:
                _clean_up_dead_runs(project, run.name)
                began = time.monotonic()
                checkout, key = read_checkout(project, env), compute_key(project)
                plan = make_plan(gather_facts(checkout, key, options, env), project.settings.hooks)
                if plan.facts.why_no_version is None:
                    raise_if_no_tool(project.root, env)
                run.write(journal.Planned(run=run.name, plan=plan.to_dict()))
                checkout = checkout.for_pull_request(plan.facts.tested_pull)
                context = Context(
                    checkout=checkout, built=checkout, key=key, store=open_store(project), env=env, run=run,
                    terminal=terminal, push_index=options.push_index or options.publish,
                )  # fmt: skip
                Runner(context, plan).run_steps({State.CHANGE_DETECTED: time.monotonic() - began})
        except PublishedFirstError as lost:
            if is_in_version(project.root, lost):
                terminal.done(f"nothing is left to publish: {lost.version} has this commit")
                return
            if not take_next or attempt == ATTEMPTS:
                raise
            terminal.say(f"{lost.message}; going on from there")
            catch_up(project.root, REMOTE, project.settings.main)
        else:
            return


def resume_pipeline(
    project: Project,
    terminal: Terminal,
    env: Mapping[str, str],
    *,
    name: str | None = None,
    push_index: bool = False,
) -> None:
    """Resume a run that died (None: the last one). Raises `UsageError` where that is not possible."""
    with journal.resume_run(_runs(project), name) as run:
        history = run.history()
        plan = history.plan
        if history.has_passed or plan is None:
            cause = "it passed" if history.has_passed else "it has no plan that this haybale can read"
            raise _cannot_resume(run, cause)
        checkout, key = read_checkout(project, env), compute_key(project)
        revision = checkout.head.revision if checkout.head else ""
        # A run that died after it had published has brought the version's commit here.
        tree = _made_tree(history)
        if key.value != plan.facts.key or revision not in {plan.facts.revision, tree and tree.commit}:
            began = f"it began with commit {plan.facts.revision} and index key {plan.facts.key}"
            raise _cannot_resume(run, f"{began}; now they are {revision} and {key}")
        remove_leftovers(project, run.name)
        run.write(journal.Resumed())
        checkout = checkout.for_pull_request(plan.facts.tested_pull)
        context = Context(
            checkout=checkout, built=checkout, key=key, store=open_store(project), env=env, run=run,
            terminal=terminal, push_index=push_index or plan.facts.publish, is_resumed=True,
        )  # fmt: skip
        Runner(context, plan, history).run_steps()


def _cannot_resume(run: journal.Run, cause: str) -> UsageError:
    message, hint = f"the run {run.name} cannot be resumed", "begin another one: `haybale pipeline`"
    return UsageError(message, cause=cause, hint=hint)


class Runner:
    """Runs the steps of a plan, one after the other; `history` is what a run that resumes did before."""

    def __init__(self, context: Context, plan: Plan, history: journal.History | None = None) -> None:
        self._context = context
        self._plan = plan
        self._history = history or journal.History()
        self._outcomes: list[StepOutcome] = []
        # The groups of states that were entered and not left yet, the innermost last, with their beginnings.
        self._entered: list[tuple[PlannedStep, float]] = []
        self._hooks = HookRunner(
            root=context.project.root, run=context.run.name, facts=plan.facts, say=context.terminal.say
        )

    def run_steps(self, spent: Mapping[State, float] | None = None) -> None:
        """Run every step; `spent` has the seconds that states took before. Raises what a step raises."""
        try:
            for step in self._plan.steps:
                self._leave_groups(GRAPH.composites_around([step.state]))
                self.run_step(step, (spent or {}).get(step.state, 0.0))
            self._leave_groups(())
        except HaybaleError as error:
            self._fail_groups(error)
            self._end(error)
            raise
        self._end(None)
        tree = self._context.find(ReleaseTree)
        if tree is not None:
            remove_release_tree(self._context.project.root, tree.path)
        journal.remove_old_runs(_runs(self._context.project))

    def run_step(self, step: PlannedStep, spent: float = 0.0) -> None:
        """Run a step, unless it is skipped or was done before; journal how it went, and what it made."""
        context = self._context
        context.terminal.state(step.state, step.reason, skipped=step.skip)
        began = time.monotonic() - spent
        context.run.write(journal.Started(state=step.state))
        try:
            outcome, result = self._find_or_make(step)
        except HaybaleError as error:
            context.run.write(journal.Failed(state=step.state, message=error.message))
            seconds = time.monotonic() - began
            self._note(step.state, "failed", seconds, error.message)
            self._try_hooks_after(step, StepEnd(outcome="failed", seconds=seconds, error=error))
            raise
        seconds = time.monotonic() - began
        made = result.to_dict() if result else None
        finished = journal.Finished(state=step.state, outcome=outcome, seconds=round(seconds, 3), result=made)
        # What was done before, and had its hooks then, has them no second time.
        has_hooked = outcome == "resumed" and self._history.has_hooked(step.state)
        context.run.write(finished)
        self._note(step.state, outcome, seconds, step.reason)
        if result is not None:
            self._context = context.with_result(result)
        if has_hooked:
            context.run.write(journal.Hooked(state=step.state))
        elif GRAPH.node(step.state).kind is Kind.COMPOSITE and not step.skip:
            self._entered.append((step, began))
        else:
            self._run_hooks_after(step, StepEnd(outcome=outcome, seconds=seconds, result=made))

    def _run_hooks_after(self, step: PlannedStep, end: StepEnd) -> None:
        """Run the hooks after a state that did not fail; one that fails fails the run, not what was done."""
        self._hooks.run_after(step, self._release, end)
        if step.after:
            self._context.run.write(journal.Hooked(state=step.state))

    def _try_hooks_after(self, step: PlannedStep, end: StepEnd) -> None:
        """Run the hooks after a state that failed; its own failure is what the run ends with."""
        try:
            self._hooks.run_after(step, self._release, end)
        except HookError as error:
            self._context.terminal.error(error)

    def _leave_groups(self, around: Collection[State]) -> None:
        """Leave the groups of states that the next one does not stand in: the hooks after them run."""
        while self._entered and self._entered[-1][0].state not in around:
            step, began = self._entered.pop()
            self._run_hooks_after(step, StepEnd(outcome="done", seconds=time.monotonic() - began))

    def _fail_groups(self, error: HaybaleError) -> None:
        """Leave all groups of states because one in them failed."""
        for step, began in reversed(self._entered):
            seconds = time.monotonic() - began
            self._try_hooks_after(step, StepEnd(outcome="failed", seconds=seconds, error=error))

    @property
    def _release(self) -> str:
        """The version that the run is for."""
        return str(self._context.built.version)

    def _find_or_make(self, planned: PlannedStep) -> tuple[Outcome, Result | None]:
        """Return what a step made before the run died, where that is still there; else what it makes now.

        The hooks before it run where it makes something now.
        """
        step = STEPS.get(planned.state)
        if planned.skip or step is None:
            self._hooks.run_before(planned, self._release)
            return "skipped" if planned.skip else "done", None
        document = self._history.last_result(planned.state)
        if document is not None:
            result: Result = step.result.from_dict(document)
            if step.is_present(self._context, result):
                self._context.terminal.say("done before, and still there")
                return "resumed", result
        self._hooks.run_before(planned, self._release)
        return "done", step.run(self._context)

    def _note(self, state: State, outcome: Outcome, seconds: float, reason: str) -> None:
        self._outcomes.append(StepOutcome(state=state, outcome=outcome, seconds=seconds, reason=reason))

    def _end(self, error: HaybaleError | None) -> None:
        """Journal the end of the run, and show its summary wherever one is looked for."""
        context = self._context
        context.run.write(journal.Ended(outcome="failed" if error else "passed"))
        index, published = context.find(IndexImage), context.find(PublishedVersion)
        summary = RunSummary(
            run=context.run.name, version=str(context.built.version), facts=self._plan.facts,
            steps=tuple(self._outcomes), images=published.images if published else {},
            counts=index.counts if index else {}, advice=index.advice if index else (), error=error,
        )  # fmt: skip
        write_atomically(context.run.folder / "summary.json", json.dumps(summary.to_dict(), indent=2) + "\n")
        problem = write_step_summary(
            context.terminal.invocation.render(render_markdown(summary)), context.env
        )
        if problem:
            context.terminal.say(problem)
        context.terminal.console.print(render_table(summary))


# Runs that died ---------------------------------------------------------------------------------------


def _runs(project: Project) -> Path:
    return project.scratch / "runs"


def remove_leftovers(project: Project, run: str) -> None:
    """Remove containers, volumes, networks and unfinished images that a run left when it died."""
    for short in ("solr", "ci"):
        sdk.remove_labelled("com.docker.compose.project", f"{project.settings.name}-{short}-{run}")
    build.remove_leftovers(project, run)


def _clean_up_dead_runs(project: Project, living: str) -> None:
    """Remove what runs that died left on the engine, and their trees; their journals stay, to be resumed."""
    for dead in journal.dead_runs(_runs(project), living):
        remove_leftovers(project, dead.name)
        history = dead.history()
        tree = _made_tree(history) if history.has_started(State.PUBLISH) else None
        try:
            # A run that died while it published may have brought its version to the remote.
            if tree is not None and is_published(project.root, REMOTE, str(tree.version), tree.commit):
                dead.write(journal.Ended(outcome="passed"))
        except ReleaseError:
            continue  # the remote does not answer: what was to be published may still be wanted
        remove_release_tree(project.root, dead.folder / "tree")


def _made_tree(history: journal.History) -> ReleaseTree | None:
    document = history.last_result(State.BV_PATCH, State.BV_MERGE)
    return None if document is None else ReleaseTree.from_dict(document)
