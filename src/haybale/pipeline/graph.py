"""The pipeline's graph: its states, the edges between them, and the question at each choice.

States, edges and names are the operational diagram's (docs/pipeline.md holds it; a test compares the two),
with one step of our own. They stand only here: the plan is a walk over this graph (plan.py), and the picture
is drawn from it (mermaid.py).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from haybale.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from haybale.release.event import EventKind

# The version of the form of the document that `Graph.to_dict` returns.
FORMAT_VERSION = 1

Strategy = Literal["key", "head"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What decides the way of a push.

    `event` is what was pushed (pr-merge, direct-push: to main; pull-request, branch: not), with its evidence;
    `pull` a pull request's number; `revision` the commit checked out (with `-dirty` where files differ from
    it), `released` the version that has it already; `key` the index key; `image_local`, `image_in_registry`:
    whether the engine, the registry has its index image (False where there is no registry); `dump_at_head`:
    whether the last commit that touched the dump is the one checked out; `notest` the commit that says
    `[notest]`; `publish`: whether publishing was asked for.
    """

    event: EventKind
    evidence: str
    branch: str | None
    pull: str | None
    revision: str
    released: str | None
    key: str
    image_local: bool
    image_in_registry: bool
    dump_at_head: bool
    notest: str | None
    strategy: Strategy
    publish: bool

    @property
    def tested_pull(self) -> str | None:
        """The number of the pull request that is tested; None where there is none."""
        return self.pull if self.event == "pull-request" else None

    @property
    def why_no_version(self) -> str | None:
        """Why this run makes no version; None where it makes one."""
        if self.event == "pull-request":
            return f"pull request {self.pull}: versions are made on main only"
        if self.event == "branch":
            return f"the branch {self.branch}: versions are made on main only"
        if self.released:
            return f"this commit is in {self.released} already"
        return None if self.publish else "not asked for (--publish)"

    @property
    def image_exists(self) -> bool:
        """Whether the index image need not be made."""
        return self.image_local or self.image_in_registry

    @property
    def has_new_data(self) -> bool:
        """Whether the index image has to be made, by the strategy that was asked for."""
        return self.dump_at_head if self.strategy == "head" else not self.image_exists


class Kind(enum.StrEnum):
    """What a state is: a step, a question with two answers, or a group of states."""

    STEP = "step"
    CHOICE = "choice"
    COMPOSITE = "composite"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the facts say at a state.

    `reason` is why the state is there, or what the answer at a choice is; `label` is that of the edge to
    follow, where there are several; `skip` is whether the state is passed without doing what it stands for.
    """

    reason: str
    label: str | None = None
    skip: bool = False


@dataclass(frozen=True, kw_only=True)
class Node:
    """A state: the composite that it stands in (None: the outermost), and what it means, in a line.

    `decide` answers the question at the state. `note` is what the picture says beside it. `ours` is whether
    the diagram does not have it.
    """

    state: State
    inside: State | None
    meaning: str
    decide: Callable[[Facts], Decision]
    kind: Kind = Kind.STEP
    note: str | None = None
    ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A way from one state to another, drawn in the composite `within`; None is where that starts or ends."""

    within: State
    source: State | None
    target: State | None
    label: str | None = None
    ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All states, and all edges between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def node(self, state: State) -> Node:
        """Return what is known of a state."""
        return next(node for node in self.nodes if node.state == state)

    def children(self, composite: State | None) -> list[Node]:
        """Return the states that stand directly in a composite (None: in none)."""
        return [node for node in self.nodes if node.inside == composite]

    def edges_from(self, state: State) -> list[Edge]:
        """Return the edges that lead on from a state."""
        return [edge for edge in self.edges if edge.source == state]

    def edges_into(self, composite: State) -> list[Edge]:
        """Return the edges that a composite starts with.

        Where none is drawn from [*], it starts with the state in it that no other state leads to.
        """
        drawn = [edge for edge in self.edges if edge.within == composite and edge.source is None]
        targets = {edge.target for edge in self.edges}
        firsts = (node.state for node in self.children(composite) if node.state not in targets)
        return drawn or [Edge(within=composite, source=None, target=first) for first in firsts]

    def composites_around(self, states: Collection[State]) -> set[State]:
        """Return the composites that some of the states stand in, however deep."""
        found: set[State] = set()
        for state in states:
            composite = self.node(state).inside
            while composite is not None:
                found.add(composite)
                composite = self.node(composite).inside
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as plain values (docs/pipeline.md says what is in them)."""
        states = [
            {"name": node.state, "kind": node.kind, "inside": node.inside, "meaning": node.meaning,
             "ours": node.ours} for node in self.nodes
        ]  # fmt: skip
        edges = [
            {"within": edge.within, "from": edge.source, "to": edge.target, "label": edge.label or "",
             "ours": edge.ours} for edge in self.edges
        ]  # fmt: skip
        return {"version": FORMAT_VERSION, "states": states, "edges": edges}


# The labels of edges that a question chooses from; those of the choices are "True" and "False".
ON_MERGE = "on PR merge"
ON_DIRECT_PUSH = "on direct push"
WHEN_ASKED = "on main, when asked"


def _always(reason: str) -> Callable[[Facts], Decision]:
    return lambda _: Decision(reason=reason)


def _find_image(facts: Facts) -> Decision:
    where = "nowhere"
    if facts.image_exists:
        where = "on this engine" if facts.image_local else "in the registry"
    return Decision(reason=f"the image of key {facts.key} is {where}", label=str(facts.image_exists))


def _find_new_data(facts: Facts) -> Decision:
    reason = _find_image(facts).reason
    if facts.strategy == "head":
        reason = f"the last commit to the dump is {'' if facts.dump_at_head else 'not '}HEAD"
    return Decision(reason=reason, label=str(facts.has_new_data))


def _regenerate(facts: Facts) -> Decision:
    return Decision(reason="there is new data" if facts.has_new_data else "the index image is missing")


def _pull(facts: Facts) -> Decision:
    here, pulled = "it is here already; its label is checked", "pulled, then label and counts are checked"
    return Decision(reason=here if facts.image_local else pulled)


def _bump(facts: Facts) -> Decision:
    reason = facts.why_no_version or f"a push to {facts.branch} that is published"
    label = ON_MERGE if facts.event == "pr-merge" else ON_DIRECT_PUSH
    return Decision(reason=reason, label=label, skip=facts.why_no_version is not None)


def _run_tests(facts: Facts) -> Decision:
    skipped = f"[notest] in {facts.notest}: tests are skipped" if facts.notest else None
    reason = skipped or "the site, the browser, the repository"
    label = None if facts.why_no_version else WHEN_ASKED
    return Decision(reason=reason, label=label, skip=skipped is not None)


def _publish(facts: Facts) -> Decision:
    return Decision(reason=facts.why_no_version or "images first, then the commit and its tag at once")


# fmt: off
NODES = (
    Node(state=State.ON_PUSH, inside=None, kind=Kind.COMPOSITE,
         decide=lambda facts: Decision(reason=facts.evidence),
         meaning="a push came in; everything else follows from it"),
    Node(state=State.CHANGE_DETECTED, inside=State.ON_PUSH, kind=Kind.COMPOSITE,
         decide=lambda facts: Decision(reason=f"index key {facts.key}, by strategy {facts.strategy}"),
         meaning="find out whether the index is still the right one, and have the right one at hand"),
    Node(state=State.NEW_DATA, inside=State.CHANGE_DETECTED, kind=Kind.CHOICE, decide=_find_new_data,
         meaning="is there anything new that the index is made of?", note="newData"),
    Node(state=State.CHECK_CURRENT_SOLR_EXISTS, inside=State.CHANGE_DETECTED, kind=Kind.CHOICE,
         decide=_find_image,
         meaning="does the index image exist, here or in the registry?", note="checkCurrentSolrExists"),
    Node(state=State.REGEN_SOLR, inside=State.CHANGE_DETECTED, decide=_regenerate,
         meaning="index the reference dump and bake the index image (`haybale regen-solr-image`)"),
    Node(state=State.PULL_SOLR_IMAGE, inside=State.CHANGE_DETECTED, decide=_pull,
         meaning="get the index image, and check its key and its counts before it is used"),
    Node(state=State.UNTAG_SOLR_IMAGE, inside=State.CHANGE_DETECTED,
         decide=_always("the index image gets the plain local name"),
         meaning="give the index image the plain local name `solr`"),
    Node(state=State.POST_CHECK, inside=State.ON_PUSH, kind=Kind.COMPOSITE,
         decide=_always("the index image is there"),
         meaning="build and test what may become a version"),
    Node(state=State.BUMP_VERSION, inside=State.POST_CHECK, kind=Kind.COMPOSITE, decide=_bump,
         meaning="make the next version; on main only, elsewhere it is skipped", note="only on main"),
    Node(state=State.BV_PATCH, inside=State.BUMP_VERSION, decide=_always("a pull request was merged"),
         meaning="a pull request was merged: the next patch (`haybale bump patch`)"),
    Node(state=State.BV_MERGE, inside=State.BUMP_VERSION, decide=_always("a direct push"),
         meaning="somebody pushed directly: the next build (`haybale bump build`)"),
    Node(state=State.RETAG_SOLR_IMAGE, inside=State.POST_CHECK,
         decide=_always("the index image gets the version's name"),
         meaning="give the image `solr` the version's name, `TAG-solr`"),
    Node(state=State.BUILD_TEST_RUNNER, inside=State.POST_CHECK,
         decide=_always("what is released, and what tests it"),
         meaning="build the stage that tests run in (`haybale build tester`)"),
    Node(state=State.RUN_TESTS, inside=State.POST_CHECK, decide=_run_tests,
         meaning="bring up the site with that index and run every test (`haybale test`)"),
    Node(state=State.PUBLISH, inside=State.POST_CHECK, decide=_publish,
         meaning="push the images, check them by digest, then push the version's commit and tag together",
         note="haybale's own step", ours=True),
)
# fmt: on

EDGES = tuple(
    Edge(within=within, source=source, target=target, label=label, ours=State.PUBLISH in {source, target})
    for within, source, target, label in (
        (State.ON_PUSH, None, State.CHANGE_DETECTED, None),
        (State.CHANGE_DETECTED, State.NEW_DATA, State.CHECK_CURRENT_SOLR_EXISTS, "False"),
        (State.CHANGE_DETECTED, State.NEW_DATA, State.REGEN_SOLR, "True"),
        (State.CHANGE_DETECTED, State.CHECK_CURRENT_SOLR_EXISTS, State.PULL_SOLR_IMAGE, "True"),
        (State.CHANGE_DETECTED, State.CHECK_CURRENT_SOLR_EXISTS, State.REGEN_SOLR, "False"),
        (State.CHANGE_DETECTED, State.REGEN_SOLR, State.UNTAG_SOLR_IMAGE, None),
        (State.CHANGE_DETECTED, State.PULL_SOLR_IMAGE, State.UNTAG_SOLR_IMAGE, None),
        (State.CHANGE_DETECTED, State.UNTAG_SOLR_IMAGE, State.POST_CHECK, None),
        (State.POST_CHECK, None, State.BUMP_VERSION, None),
        (State.BUMP_VERSION, None, State.BV_PATCH, ON_MERGE),
        (State.BUMP_VERSION, State.BV_PATCH, None, None),
        (State.BUMP_VERSION, None, State.BV_MERGE, ON_DIRECT_PUSH),
        (State.BUMP_VERSION, State.BV_MERGE, None, None),
        (State.POST_CHECK, State.BUMP_VERSION, State.RETAG_SOLR_IMAGE, None),
        (State.POST_CHECK, State.RETAG_SOLR_IMAGE, State.BUILD_TEST_RUNNER, None),
        (State.POST_CHECK, State.BUILD_TEST_RUNNER, State.RUN_TESTS, None),
        (State.POST_CHECK, State.RUN_TESTS, None, None),
        (State.POST_CHECK, State.RUN_TESTS, State.PUBLISH, WHEN_ASKED),
        (State.POST_CHECK, State.PUBLISH, None, None),
    )
)

GRAPH = Graph(nodes=NODES, edges=EDGES)
