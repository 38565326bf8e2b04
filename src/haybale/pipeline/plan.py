"""The plan of a push: a walk over the graph, with the facts as answers. Pure; nothing is done by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from haybale.pipeline.graph import GRAPH, Edge, Facts, Graph, Kind
from haybale.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.config import HookSettings

# The version of the form of the document that `Plan.to_dict` returns (docs/pipeline.md, "The plan").
FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """A state on the way, why it is there, and whether it is passed without doing what it stands for.

    `before` and `after` are the commands of the repository's that run around it.
    """

    state: State
    reason: str
    skip: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def hooks(self) -> dict[str, list[str]]:
        """The commands around it, by when they run; where there are some."""
        return {name: list(hooks) for name in ("before", "after") if (hooks := getattr(self, name))}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The way that a push takes, and the facts that decide it."""

    facts: Facts
    steps: tuple[PlannedStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        steps = [
            {"state": str(step.state), "runs": not step.skip, "reason": step.reason, **step.hooks}
            for step in self.steps
        ]
        return {"version": FORMAT_VERSION, "facts": asdict(self.facts), "steps": steps}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_dict` gave; raises `ValueError`, `KeyError` or `TypeError` otherwise."""
        if document["version"] != FORMAT_VERSION:
            raise ValueError(f"a plan of version {document['version']}, not {FORMAT_VERSION}")
        steps = (
            PlannedStep(
                state=State(step["state"]),
                reason=str(step["reason"]),
                skip=not step["runs"],
                before=tuple(step.get("before", ())),
                after=tuple(step.get("after", ())),
            )
            for step in document["steps"]
        )
        return cls(facts=Facts(**document["facts"]), steps=tuple(steps))


def make_plan(facts: Facts, hooks: Mapping[str, HookSettings] | None = None) -> Plan:
    """Return the way that a push takes, by these facts, with the commands around what is not skipped."""
    steps = walk(GRAPH, facts)
    return Plan(facts=facts, steps=tuple(_with_hooks(step, (hooks or {}).get(step.state)) for step in steps))


def _with_hooks(step: PlannedStep, hooks: HookSettings | None) -> PlannedStep:
    if hooks is None or step.skip:
        return step
    return replace(step, before=hooks.before, after=hooks.after)


def walk(graph: Graph, facts: Facts) -> Iterator[PlannedStep]:
    """Yield the states of a graph in the order in which these facts lead through them.

    Where a way ends that could have led on, the state that it does not come to is yielded as skipped.
    """
    state: State | None = graph.children(None)[0].state
    while state is not None:
        node = graph.node(state)
        decision = node.decide(facts)
        yield PlannedStep(state=state, reason=decision.reason, skip=decision.skip)
        enters = node.kind is Kind.COMPOSITE and not decision.skip
        edges = graph.edges_into(state) if enters else graph.edges_from(state)
        state = _follow(graph, edges, decision.label)
        if state is None:
            for missed in (edge.target for edge in edges if edge.target is not None):
                yield PlannedStep(state=missed, reason=graph.node(missed).decide(facts).reason, skip=True)


def _follow(graph: Graph, edges: Sequence[Edge], label: str | None) -> State | None:
    """Return the state that one of these edges leads to, by its label where there are several; None: the end.

    Where an edge ends its composite, the way goes on from there.
    """
    if not edges:
        return None
    edge = next(edge for edge in edges if len(edges) == 1 or edge.label == label)
    return edge.target or _follow(graph, graph.edges_from(edge.within), None)
