"""The pipeline's graph as data: the states of the operational diagram, its edges, and one step of our own.

Names and edges are the diagram's (docs/pipeline.md holds it; a test compares the two). `None` as an end of an
edge is the [*] of the composite that the edge stands in.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# The version of the document that `as_json` gives.
FORMAT = 1


class State(enum.StrEnum):
    """The states, with the names that the diagram, the log, the pictures and the code share."""

    ON_PUSH = "onPush"
    CHANGE_DETECTED = "changeDetected"
    NEW_DATA = "newData"
    CHECK_CURRENT_SOLR_EXISTS = "checkCurrentSolrExists"
    REGEN_SOLR = "regenSolr"
    PULL_SOLR_IMAGE = "pullSolrImage"
    UNTAG_SOLR_IMAGE = "untagSolrImage"
    POST_CHECK = "postCheck"
    BUMP_VERSION = "bumpVersion"
    BV_PATCH = "bvPatch"
    BV_MERGE = "bvMerge"
    RETAG_SOLR_IMAGE = "retagSolrImage"
    BUILD_TEST_RUNNER = "buildTestRunner"
    RUN_TESTS = "runTests"
    PUBLISH = "publish"


class Kind(enum.StrEnum):
    """What a state is: a step, a question with two answers, or a group of states."""

    STEP = "step"
    CHOICE = "choice"
    COMPOSITE = "composite"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A state: what it is, the composite it stands in (None: the outermost), and what it means, in a line.

    `note` is what the picture says beside it. `ours` is whether it is no part of the diagram.
    """

    state: State
    inside: State | None
    meaning: str
    kind: Kind = Kind.STEP
    note: str = ""
    ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A way from one state to another, drawn in a composite; None is where that one starts or ends."""

    within: State
    source: State | None
    target: State | None
    label: str = ""
    ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All states, and all ways between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def children(self, composite: State | None) -> Iterator[Node]:
        """Yield the states that stand directly in a composite."""
        return (node for node in self.nodes if node.inside == composite)

    def around(self, states: Collection[State]) -> set[State]:
        """Return the composites that some of the states stand in, however deep."""
        inside = {node.state: node.inside for node in self.nodes}
        found: set[State] = set()
        for state in states:
            composite = inside[state]
            while composite is not None:
                found.add(composite)
                composite = inside[composite]
        return found


NODES = (
    Node(
        state=State.ON_PUSH,
        inside=None,
        kind=Kind.COMPOSITE,
        meaning="a push came in; everything else follows from it",
    ),
    Node(
        state=State.CHANGE_DETECTED,
        inside=State.ON_PUSH,
        kind=Kind.COMPOSITE,
        meaning="find out whether the index is still the right one, and have the right one at hand",
    ),
    Node(
        state=State.NEW_DATA,
        inside=State.CHANGE_DETECTED,
        kind=Kind.CHOICE,
        meaning="is there anything new that the index is made of?",
        note="newData",
    ),
    Node(
        state=State.CHECK_CURRENT_SOLR_EXISTS,
        inside=State.CHANGE_DETECTED,
        kind=Kind.CHOICE,
        meaning="does the index image exist, here or in the registry?",
        note="checkCurrentSolrExists",
    ),
    Node(
        state=State.REGEN_SOLR,
        inside=State.CHANGE_DETECTED,
        meaning="index the reference dump and bake the index image (`just regen-solr-image`)",
    ),
    Node(
        state=State.PULL_SOLR_IMAGE,
        inside=State.CHANGE_DETECTED,
        meaning="get the index image, and check its key and its counts before it is used",
    ),
    Node(
        state=State.UNTAG_SOLR_IMAGE,
        inside=State.CHANGE_DETECTED,
        meaning="give the index image the plain local name `solr`",
    ),
    Node(
        state=State.POST_CHECK,
        inside=State.ON_PUSH,
        kind=Kind.COMPOSITE,
        meaning="build and test what may become a version",
    ),
    Node(
        state=State.BUMP_VERSION,
        inside=State.POST_CHECK,
        kind=Kind.COMPOSITE,
        meaning="make the next version; on main only, elsewhere it is passed by",
        note="only on main",
    ),
    Node(
        state=State.BV_PATCH,
        inside=State.BUMP_VERSION,
        meaning="a pull request was merged: the next patch (`just bump patch`)",
    ),
    Node(
        state=State.BV_MERGE,
        inside=State.BUMP_VERSION,
        meaning="somebody pushed directly: the next build (`just bump build`)",
    ),
    Node(
        state=State.RETAG_SOLR_IMAGE,
        inside=State.POST_CHECK,
        meaning="give the image `solr` the version's name, `TAG-solr`",
    ),
    Node(
        state=State.BUILD_TEST_RUNNER,
        inside=State.POST_CHECK,
        meaning="build the layer that tests run in (`just build tester`)",
    ),
    Node(
        state=State.RUN_TESTS,
        inside=State.POST_CHECK,
        meaning="bring up the site with that index and run every test (`just test`)",
    ),
    Node(
        state=State.PUBLISH,
        inside=State.POST_CHECK,
        meaning="push the images, check them by digest, then push the version's commit and tag together",
        note="haybale's own step",
        ours=True,
    ),
)

EDGES = (
    Edge(within=State.ON_PUSH, source=None, target=State.CHANGE_DETECTED),
    Edge(
        within=State.CHANGE_DETECTED,
        source=State.NEW_DATA,
        target=State.CHECK_CURRENT_SOLR_EXISTS,
        label="False",
    ),
    Edge(within=State.CHANGE_DETECTED, source=State.NEW_DATA, target=State.REGEN_SOLR, label="True"),
    Edge(
        within=State.CHANGE_DETECTED,
        source=State.CHECK_CURRENT_SOLR_EXISTS,
        target=State.PULL_SOLR_IMAGE,
        label="True",
    ),
    Edge(
        within=State.CHANGE_DETECTED,
        source=State.CHECK_CURRENT_SOLR_EXISTS,
        target=State.REGEN_SOLR,
        label="False",
    ),
    Edge(within=State.CHANGE_DETECTED, source=State.REGEN_SOLR, target=State.UNTAG_SOLR_IMAGE),
    Edge(within=State.CHANGE_DETECTED, source=State.PULL_SOLR_IMAGE, target=State.UNTAG_SOLR_IMAGE),
    Edge(within=State.CHANGE_DETECTED, source=State.UNTAG_SOLR_IMAGE, target=State.POST_CHECK),
    Edge(within=State.POST_CHECK, source=None, target=State.BUMP_VERSION),
    Edge(within=State.BUMP_VERSION, source=None, target=State.BV_PATCH, label="on PR merge"),
    Edge(within=State.BUMP_VERSION, source=State.BV_PATCH, target=None),
    Edge(within=State.BUMP_VERSION, source=None, target=State.BV_MERGE, label="on direct push"),
    Edge(within=State.BUMP_VERSION, source=State.BV_MERGE, target=None),
    Edge(within=State.POST_CHECK, source=State.BUMP_VERSION, target=State.RETAG_SOLR_IMAGE),
    Edge(within=State.POST_CHECK, source=State.RETAG_SOLR_IMAGE, target=State.BUILD_TEST_RUNNER),
    Edge(within=State.POST_CHECK, source=State.BUILD_TEST_RUNNER, target=State.RUN_TESTS),
    Edge(within=State.POST_CHECK, source=State.RUN_TESTS, target=None),
    Edge(
        within=State.POST_CHECK,
        source=State.RUN_TESTS,
        target=State.PUBLISH,
        label="on main, when asked",
        ours=True,
    ),
    Edge(within=State.POST_CHECK, source=State.PUBLISH, target=None, ours=True),
)

GRAPH = Graph(nodes=NODES, edges=EDGES)

# Every colour is given, so that the picture reads on a light page and on a dark one. A composite has only its
# border coloured: a colour of its own would fill everything in it.
STYLES = {
    "taken": "fill:#1a7f37,stroke:#116329,color:#ffffff,stroke-width:2px",
    "skipped": "fill:#eaeef2,stroke:#59636e,color:#59636e,stroke-dasharray:5 4",
    "failed": "fill:#cf222e,stroke:#82071e,color:#ffffff,stroke-width:2px",
    "around": "stroke:#1a7f37,stroke-width:3px",
}


def mermaid(
    graph: Graph = GRAPH,
    taken: Collection[State] = (),
    skipped: Collection[State] = (),
    failed: Collection[State] = (),
) -> str:
    """Return the graph as a Mermaid state diagram; the states of a run's path are coloured.

    The composites around a path are coloured with it; they need not be named. Mermaid has no styles for edges
    of a state diagram, shows no names of choices (so they have notes), and takes a note only after the state
    was drawn (mermaid.js.org/syntax/stateDiagram; tried with 11.4 and 11.17).
    """
    composites = {node.state for node in graph.nodes if node.kind is Kind.COMPOSITE}
    classes = {
        "taken": set(taken) - composites,
        "skipped": set(skipped) - composites,
        "failed": set(failed) - composites,
        "around": graph.around([*taken, *failed]) | (set(taken) & composites),
    }
    lines = ["stateDiagram-v2"]
    lines += [f"    classDef {name} {STYLES[name]}" for name, states in classes.items() if states]
    lines += _inside(graph, None, "    ")
    for name, states in classes.items():
        if states:
            members = ",".join(node.state for node in graph.nodes if node.state in states)
            lines.append(f"    class {members} {name}")
    return "\n".join(lines) + "\n"


def _inside(graph: Graph, composite: State | None, indent: str) -> Iterator[str]:
    """Yield the lines of everything that stands in a composite."""
    nodes = list(graph.children(composite))
    for node in nodes:
        if node.kind is Kind.CHOICE:
            yield f"{indent}state {node.state} <<choice>>"
    for edge in graph.edges:
        if edge.within == composite:
            label = f" : {edge.label}" if edge.label else ""
            yield f"{indent}{edge.source or '[*]'} --> {edge.target or '[*]'}{label}"
    for node in nodes:
        if node.kind is Kind.COMPOSITE:
            yield f"{indent}state {node.state} {{"
            yield from _inside(graph, node.state, f"{indent}    ")
            yield f"{indent}}}"
    for node in nodes:
        if node.note:
            yield f"{indent}note right of {node.state} : {node.note}"


def as_json(graph: Graph = GRAPH) -> dict[str, Any]:
    """Return the graph as a JSON document (docs/pipeline.md says what is in it)."""
    return {
        "version": FORMAT,
        "states": [
            {
                "name": node.state,
                "kind": node.kind,
                "inside": node.inside,
                "meaning": node.meaning,
                "ours": node.ours,
            }
            for node in graph.nodes
        ],
        "edges": [
            {
                "within": edge.within,
                "from": edge.source,
                "to": edge.target,
                "label": edge.label,
                "ours": edge.ours,
            }
            for edge in graph.edges
        ],
    }
