"""The graph drawn as a Mermaid state diagram, on its own or with the way that a run took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.pipeline.graph import GRAPH, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from haybale.states import State

# Every colour is given, so that the picture reads on a light page and on a dark one. A composite has only its
# border coloured: a colour of its own would fill everything in it.
STYLES = {
    "taken": "fill:#1a7f37,stroke:#116329,color:#ffffff,stroke-width:2px",
    "skipped": "fill:#eaeef2,stroke:#59636e,color:#59636e,stroke-dasharray:5 4",
    "failed": "fill:#cf222e,stroke:#82071e,color:#ffffff,stroke-width:2px",
    "around": "stroke:#1a7f37,stroke-width:3px",
}


def draw_graph(
    taken: Collection[State] = (), skipped: Collection[State] = (), failed: Collection[State] = ()
) -> str:
    """Return the graph as a Mermaid state diagram; the states of a run's path are coloured.

    The composites around a path are coloured with it; they need not be named. Mermaid has no styles for edges
    of a state diagram, shows no names of choices (so they have notes), and takes a note only after the state
    was drawn (mermaid.js.org/syntax/stateDiagram; tried with 11.4 and 11.17).
    """
    composites = {node.state for node in GRAPH.nodes if node.kind is Kind.COMPOSITE}
    classes = {
        "taken": set(taken) - composites,
        "skipped": set(skipped) - composites,
        "failed": set(failed) - composites,
        "around": GRAPH.composites_around([*taken, *failed]) | (set(taken) & composites),
    }
    lines = ["stateDiagram-v2"]
    lines += [f"    classDef {name} {STYLES[name]}" for name, states in classes.items() if states]
    lines += _draw_inside(None, "    ")
    for name, states in classes.items():
        if states:
            members = ",".join(node.state for node in GRAPH.nodes if node.state in states)
            lines.append(f"    class {members} {name}")
    return "\n".join(lines) + "\n"


def _draw_inside(composite: State | None, indent: str) -> Iterator[str]:
    """Yield the lines of everything that stands in a composite."""
    nodes = GRAPH.children(composite)
    yield from (f"{indent}state {node.state} <<choice>>" for node in nodes if node.kind is Kind.CHOICE)
    for edge in GRAPH.edges:
        if edge.within == composite:
            label = f" : {edge.label}" if edge.label else ""
            yield f"{indent}{edge.source or '[*]'} --> {edge.target or '[*]'}{label}"
    for node in nodes:
        if node.kind is Kind.COMPOSITE:
            yield f"{indent}state {node.state} {{"
            yield from _draw_inside(node.state, f"{indent}    ")
            yield f"{indent}}}"
    yield from (f"{indent}note right of {node.state} : {node.note}" for node in nodes if node.note)
