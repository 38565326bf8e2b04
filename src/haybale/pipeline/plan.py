"""From facts to the way that a push takes: a pure function, which can be shown without doing anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from haybale.pipeline.graph import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.release.event import Kind

Strategy = Literal["key", "head"]

# The version of what `as_json` gives (docs/pipeline.md, "The plan as JSON").
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is so when a run begins.

    `event` is what release/event.py says (pr-merge, direct-push: on main; pull-request, branch: not), with
    its evidence; `revision` the commit checked out (with `-dirty` where files differ from it), `released` the
    version that this commit is, "" for none; `key` the index key; `here` and `there`: whether the engine, the
    registry has its index image (`there` is False where there is no registry); `dump_at_head`: whether the
    last commit that touched the dump is the one checked out; `notest` the commit that says `[notest]`, "" for
    none; `publish`: whether publishing was asked for.
    """

    event: Kind
    evidence: str
    branch: str
    pull: str
    revision: str
    released: str
    key: str
    here: bool
    there: bool
    dump_at_head: bool
    notest: str
    strategy: Strategy
    publish: bool

    @property
    def on_main(self) -> bool:
        """Whether versions are made of this."""
        return self.event in {"pr-merge", "direct-push"}

    @property
    def releases(self) -> bool:
        """Whether this run makes a version."""
        return self.on_main and self.publish and not self.released


@dataclass(frozen=True, kw_only=True)
class Step:
    """A state on the way, why it is there, and whether it is passed by without doing what it stands for."""

    state: State
    reason: str
    skip: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The way that a push takes, from the facts that decide it."""

    facts: Facts
    steps: tuple[Step, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain values (docs/pipeline.md, "The plan as JSON")."""
        return {
            "version": VERSION,
            "facts": asdict(self.facts),
            "steps": [
                {"state": str(step.state), "runs": not step.skip, "reason": step.reason}
                for step in self.steps
            ],
        }


def of_json(document: Mapping[str, Any]) -> Plan:
    """Return a plan from what `as_json` gave; raises `ValueError`, `KeyError` or `TypeError` on rubbish."""
    if document["version"] != VERSION:
        raise ValueError(f"a plan of version {document['version']}, not {VERSION}")
    steps = tuple(
        Step(state=State(step["state"]), reason=str(step["reason"]), skip=not step["runs"])
        for step in document["steps"]
    )
    return Plan(facts=Facts(**document["facts"]), steps=steps)


def plan(facts: Facts) -> Plan:
    """Return the way that a push takes, by these facts (docs/pipeline.md)."""
    return Plan(facts=facts, steps=(*_change_detected(facts), *_post_check(facts)))


def _change_detected(facts: Facts) -> list[Step]:
    steps = [
        Step(state=State.ON_PUSH, reason=facts.evidence),
        Step(state=State.CHANGE_DETECTED, reason=f"index key {facts.key}, by strategy {facts.strategy}"),
    ]
    exists = facts.here or facts.there
    where = "on this engine" if facts.here else "in the registry"
    image = f"the image of key {facts.key}"
    if facts.strategy == "head":
        new = facts.dump_at_head
        is_head = "HEAD" if new else "not HEAD"
        steps.append(Step(state=State.NEW_DATA, reason=f"the last commit to the dump is {is_head}"))
    else:
        new = not exists
        steps.append(
            Step(state=State.NEW_DATA, reason=f"{image} {f'is {where}' if exists else 'is nowhere'}")
        )
    if not new:
        found = f"{image} {f'is {where}' if exists else 'is nowhere'}"
        steps.append(Step(state=State.CHECK_CURRENT_SOLR_EXISTS, reason=found))
    if new or not exists:
        why = "there is new data" if new else "the index image is missing"
        steps.append(Step(state=State.REGEN_SOLR, reason=why))
    else:
        how = (
            "it is here already; its label is checked"
            if facts.here
            else "pulled, then label and counts are checked"
        )
        steps.append(Step(state=State.PULL_SOLR_IMAGE, reason=how))
    return [*steps, Step(state=State.UNTAG_SOLR_IMAGE, reason="the index image gets the plain local name")]


def _post_check(facts: Facts) -> list[Step]:
    steps = [Step(state=State.POST_CHECK, reason="the index image is there")]
    if facts.releases:
        steps.append(Step(state=State.BUMP_VERSION, reason=f"a push to {facts.branch} that is published"))
        if facts.event == "pr-merge":
            steps.append(Step(state=State.BV_PATCH, reason="a pull request was merged"))
        else:
            steps.append(Step(state=State.BV_MERGE, reason="a direct push"))
    else:
        steps.append(Step(state=State.BUMP_VERSION, reason=_no_version(facts), skip=True))
    steps += [
        Step(state=State.RETAG_SOLR_IMAGE, reason="the index image gets the version's name"),
        Step(state=State.BUILD_TEST_RUNNER, reason="what is released, and what tests it"),
        Step(state=State.RUN_TESTS, reason="the site, the browser, the repository")
        if not facts.notest
        else Step(state=State.RUN_TESTS, reason=f"[notest] in {facts.notest}: tests are skipped", skip=True),
    ]
    if facts.releases:
        steps.append(Step(state=State.PUBLISH, reason="images first, then the commit and its tag at once"))
    else:
        steps.append(Step(state=State.PUBLISH, reason=_no_version(facts), skip=True))
    return steps


def _no_version(facts: Facts) -> str:
    """Say why this run makes no version."""
    if facts.event == "pull-request":
        return f"pull request {facts.pull}: versions are made on main only"
    if facts.event == "branch":
        return f"the branch {facts.branch}: versions are made on main only"
    if facts.released:
        return f"this commit is {facts.released} already"
    return "not asked for (--publish)"


def text(planned: Plan) -> str:
    """Return a plan for people: a line for each state; what is not done is in brackets."""
    shown = [(f"({step.state})" if step.skip else str(step.state), step.reason) for step in planned.steps]
    width = max(len(name) for name, _ in shown)
    return "\n".join(f"{name:<{width}}  {reason}" for name, reason in shown)
