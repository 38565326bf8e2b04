"""The graph that the plan is a walk over is the diagram, as given and as documented."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from haybale.pipeline.graph import EDGES, GRAPH, NODES, Kind
from haybale.pipeline.mermaid import draw_graph
from haybale.states import State

PAGE = Path(__file__).parents[2] / "docs" / "pipeline.md"

# The diagram as it was given: the composite that a way stands in, where from, where to, and its words.
DIAGRAM = {
    ("onPush", "[*]", "changeDetected", ""),
    ("changeDetected", "newData", "checkCurrentSolrExists", "False"),
    ("changeDetected", "newData", "regenSolr", "True"),
    ("changeDetected", "checkCurrentSolrExists", "pullSolrImage", "True"),
    ("changeDetected", "checkCurrentSolrExists", "regenSolr", "False"),
    ("changeDetected", "regenSolr", "untagSolrImage", ""),
    ("changeDetected", "pullSolrImage", "untagSolrImage", ""),
    ("changeDetected", "untagSolrImage", "postCheck", ""),
    ("postCheck", "[*]", "bumpVersion", ""),
    ("postCheck", "bumpVersion", "retagSolrImage", ""),
    ("postCheck", "retagSolrImage", "buildTestRunner", ""),
    ("postCheck", "buildTestRunner", "runTests", ""),
    ("postCheck", "runTests", "[*]", ""),
    ("bumpVersion", "[*]", "bvPatch", "on PR merge"),
    ("bumpVersion", "bvPatch", "[*]", ""),
    ("bumpVersion", "[*]", "bvMerge", "on direct push"),
    ("bumpVersion", "bvMerge", "[*]", ""),
}
COMPOSITES = {"onPush", "changeDetected", "postCheck", "bumpVersion"}
CHOICES = {"newData", "checkCurrentSolrExists"}


@dataclass(frozen=True)
class Drawn:
    """What a Mermaid state diagram says."""

    edges: set[tuple[str, str, str, str]]
    composites: dict[str, str]
    choices: dict[str, str]
    notes: dict[str, str]
    classes: dict[str, set[str]]
    defined: set[str]

    @property
    def states(self) -> dict[str, str]:
        """Each state with the composite that it stands in: a step belongs to where its ways are drawn."""
        found = {**self.composites, **self.choices}
        for within, source, target, _ in sorted(self.edges):
            for name in (source, target):
                if name != "[*]":
                    found.setdefault(name, within)
        return found


STATEMENTS = {
    "edge": re.compile(r"(\S+) --> (\S+?)(?: : (.+))?"),
    "open": re.compile(r"state (\w+) \{"),
    "close": re.compile(r"\}"),
    "choice": re.compile(r"state (\w+) <<choice>>"),
    "note": re.compile(r"note right of (\w+) : (.+)"),
    "define": re.compile(r"classDef (\w+) (.+)"),
    "class": re.compile(r"class (\S+) (\w+)"),
}


def parsed(text: str) -> Drawn:
    """Read a diagram; every line must be one of the statements that are known here."""
    drawn = Drawn(edges=set(), composites={}, choices={}, notes={}, classes={}, defined=set())
    first, *lines = [line.strip() for line in text.strip().splitlines()]
    assert first == "stateDiagram-v2"
    around = [""]
    for line in lines:
        kind, match = next(
            ((kind, match) for kind, form in STATEMENTS.items() if (match := form.fullmatch(line))),
            ("", None),
        )
        assert match, line
        here = around[-1]
        match kind:
            case "edge":
                edge = (here, match[1], match[2], match[3] or "")
                assert edge not in drawn.edges, line
                drawn.edges.add(edge)
            case "open":
                drawn.composites[match[1]] = here
                around.append(match[1])
            case "close":
                around.pop()
            case "choice":
                drawn.choices[match[1]] = here
            case "note":
                drawn.notes[match[1]] = match[2]
            case "define":
                drawn.defined.add(match[1])
            case "class":
                drawn.classes[match[2]] = set(match[1].split(","))
            case _:
                pytest.fail(kind)
    assert around == [""]
    return drawn


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def documented(page: str) -> Drawn:
    (block,) = re.findall(r"^```mermaid\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return parsed(block)


def coded() -> set[tuple[str, str, str, str]]:
    return {(edge.within, edge.source or "[*]", edge.target or "[*]", edge.label or "") for edge in EDGES}


def test_edges_are_the_diagram_s_and_our_own_touch_publish() -> None:
    ours = {
        (edge.within, edge.source or "[*]", edge.target or "[*]", edge.label or "")
        for edge in EDGES
        if edge.ours
    }
    assert coded() - ours == DIAGRAM
    assert all("publish" in (source, target) for _, source, target, _ in ours)


def test_nodes_are_the_diagram_s_and_publish() -> None:
    named = {name for _, *ends, _ in DIAGRAM for name in ends} | COMPOSITES
    assert set(State) == (named - {"[*]"}) | {"publish"}
    assert {node.state for node in NODES if node.ours} == {State.PUBLISH}


def test_nodes_describe_every_state_once() -> None:
    assert [node.state for node in NODES] == list(State)
    assert all(node.meaning for node in NODES)


def test_nodes_have_the_diagram_s_composites_and_choices() -> None:
    assert {node.state for node in NODES if node.kind is Kind.COMPOSITE} == COMPOSITES
    assert {node.state for node in NODES if node.kind is Kind.CHOICE} == CHOICES


def test_edges_are_the_documented_ones(documented: Drawn) -> None:
    assert documented.edges == coded()


def test_nodes_stand_where_the_documentation_draws_them(documented: Drawn) -> None:
    assert documented.states == {str(node.state): str(node.inside or "") for node in NODES}
    assert set(documented.composites) == COMPOSITES
    assert set(documented.choices) == CHOICES


def test_nodes_have_the_documented_notes(documented: Drawn) -> None:
    assert documented.notes == {str(node.state): node.note for node in NODES if node.note}


def test_nodes_have_the_documented_meanings(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    table = [(name, meaning) for name, meaning in rows if name in set(State)]
    assert table == [(node.state, node.meaning) for node in NODES]


def test_draw_graph_draws_every_state_and_edge() -> None:
    drawn = parsed(draw_graph())
    assert drawn.edges == coded()
    assert drawn.states == {str(node.state): str(node.inside or "") for node in NODES}
    assert drawn.classes == {}


def test_draw_graph_colours_a_path_and_the_composites_around_it() -> None:
    taken = [State.NEW_DATA, State.REGEN_SOLR, State.UNTAG_SOLR_IMAGE]
    drawn = parsed(draw_graph(taken, [State.RUN_TESTS], [State.BV_PATCH]))
    assert drawn.classes == {
        "taken": set(taken),
        "skipped": {"runTests"},
        "failed": {"bvPatch"},
        "around": {"onPush", "changeDetected", "postCheck", "bumpVersion"},
    }
    assert drawn.defined == set(drawn.classes)
    assert drawn.edges == coded()


def test_draw_graph_colours_nothing_around_what_was_only_skipped() -> None:
    drawn = parsed(draw_graph(skipped=[State.BUMP_VERSION, State.BV_PATCH]))
    assert drawn.classes == {"skipped": {"bvPatch"}}


def test_draw_graph_puts_notes_after_the_edges_of_their_composite() -> None:
    """Mermaid fails with "No such shape" on a note of a state that it has not drawn yet."""
    lines = [line.strip() for line in draw_graph().splitlines()]
    for node in NODES:
        if node.note:
            last = max(
                number
                for number, line in enumerate(lines)
                if "-->" in line and re.search(rf"\b{node.state}\b", line)
            )
            assert lines.index(f"note right of {node.state} : {node.note}") > last


def test_to_dict_has_every_state_and_edge() -> None:
    document = json.loads(json.dumps(GRAPH.to_dict()))
    assert document["version"] == 1
    assert {state["name"]: (state["kind"], state["inside"]) for state in document["states"]} == {
        node.state: (node.kind, node.inside) for node in NODES
    }
    edges = {
        (edge["within"], edge["from"] or "[*]", edge["to"] or "[*]", edge["label"])
        for edge in document["edges"]
    }
    assert edges == coded()
    assert [state["name"] for state in document["states"] if state["ours"]] == ["publish"]
