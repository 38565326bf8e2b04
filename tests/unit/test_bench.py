"""The pure parts of the benchmark."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import baking, chart, corpus, results
from bench.measure import Run

ROOT = Path(__file__).parents[2]


def run(wall: float, loader: float = 1.0, solr: float = 2.0) -> Run:
    return Run(wall=wall, loader_cpu=loader, solr_cpu=solr, documents=100, peaks=(50.0, 40.0))


PREPARING = [
    Run(wall=cpu, loader_cpu=cpu, solr_cpu=0.0, documents=100, parts={"bytes": 1300.0})
    for cpu in (2.0, 4.0, 2.0)
]


def figures() -> dict[str, object]:
    runs = {
        results.USUAL: [run(30.0), run(40.0), run(35.0)],
        results.OURS: [run(10.0), run(20.0), run(14.0)],
    }
    return results.summarize(runs, PREPARING, [run(9, solr=16.0), run(9, solr=18.0), run(9, solr=30.0)], 2)


def test_summarize_takes_ratios_within_a_round() -> None:
    found = figures()
    # 3.0, 2.0 and 2.5: not the ratio of the medians.
    assert found["ratios"] == {results.USUAL: 2.5}


def test_summarize_takes_the_floor_from_cpu_seconds_over_cores() -> None:
    found = figures()
    assert found["floor"] == {"seconds": 11.0, "preparing_cpu": 2.0, "solr_cpu": 18.0, "cores": 2}
    # 9/10, 11/20 and 16/14: within a round, as the ratios.
    assert found["share_of_floor"] == 0.9


def test_table_rows_say_how_much_faster_ours_is() -> None:
    _, usual, ours = results.table_rows(figures())
    assert usual[-1] == "2.50 x as fast"
    assert ours[-1] == "90% of the floor"


def test_summarize_verification_takes_costs_within_a_round() -> None:
    found = results.summarize_verification(
        {
            results.ALONE: [run(10.0), run(20.0), run(10.0)],
            results.SAMPLE: [run(10.5), run(20.0), run(12.0)],
            results.FULL: [run(12.0), run(28.0), run(13.0)],
        }
    )
    assert found["costs"] == {results.SAMPLE: 0.05, results.FULL: 0.3}
    _, alone, _, full = results.table_rows({"verification": found})
    assert alone == (results.ALONE, "10.0 s", "")
    assert full == (results.FULL, "13.0 s", "+30%")


def test_baking_summarize_takes_ratios_within_a_round() -> None:
    runs = [
        baking.Baked(size=300_000_000, steps={"copy": 1.0, "build": build}, least={"docker build": least})
        for build, least in ((5.0, 4.0), (8.0, 4.5), (2.0, 3.0))
    ]
    found = baking.summarize(runs)
    # 1.5, 2.0 and 1.0.
    assert found == {
        "index_mb": 300.0, "seconds": 6.0, "steps": {"copy": 1.0, "build": 5.0},
        "least": {"docker build": 4.0}, "ratio": 1.5,
    }  # fmt: skip
    assert ("all that", "6.0 s, 1.50 x the least") in results.table_rows({"baking": found})


def test_draw_chart_has_every_bar() -> None:
    seconds = {results.USUAL: 35.0, results.OURS: 14.0}
    names = {results.USUAL: "Haystack <usual>", results.OURS: "haybale"}
    drawn = ET.fromstring(chart.draw_chart([("100 documents", seconds, 10.0, 2.4)], names))  # noqa: S314 - our own
    space = {"svg": "http://www.w3.org/2000/svg"}
    widths = [float(bar.attrib["width"]) for bar in drawn.findall("svg:rect", space)]
    assert widths[0] / widths[1] == pytest.approx(2.5, rel=0.01)
    texts = ["".join(text.itertext()) for text in drawn.findall("svg:text", space)]
    assert texts == [
        "100 documents",
        "Haystack <usual>",
        "35.0 s",
        "haybale",
        "14.0 s (2.40 x as fast)",
        "the floor: 10.0 s",
    ]


def test_make_notes_is_the_same_every_time_with_a_language_s_words() -> None:
    once, again = list(corpus.make_notes(200)), list(corpus.make_notes(200))
    assert once == again
    assert [note[0] for note in once] == list(range(1, 201))
    words = [word for note in once for word in note[3].split()]
    most = max(words.count(word) for word in set(words[:500]))
    assert most > len(words) / 50, "some words are frequent"
    assert len(set(words)) > len(words) / 10, "most are rare"


def test_readme_has_the_measured_figures() -> None:
    """The README's figures are those of docs/bench.json."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = json.loads((ROOT / "docs/bench.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| ([\w, ]+) \| ([\d.]+) x \| ([\d.]+) x \| (\d+) % \|$", readme, re.MULTILINE)
    assert rows
    for name, usual, best, floor in rows:
        case = measured[name]
        assert (float(usual), float(best)) == (case["ratios"][results.USUAL], case["ratios"][results.BEST])
        assert int(floor) == round(case["share_of_floor"] * 100)
