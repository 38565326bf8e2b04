from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from haybale import errors
from haybale.config import HookSettings
from haybale.errors import HaybaleError
from haybale.pipeline.graph import Facts
from haybale.pipeline.plan import make_plan
from haybale.pipeline.rendering import (
    escape_markdown,
    format_duration,
    render_markdown,
    render_plan,
    render_table,
    strip_controls,
    write_step_summary,
)
from haybale.pipeline.summary import Outcome, RunSummary, StepOutcome
from haybale.states import State

MEGABYTE = 1024 * 1024

HOSTILE = [
    "a | b",
    "`code` and ``` fence",
    "<script>alert(1)</script> &amp; <b>",
    "[link](javascript:x) ![picture](y)",
    "*bold* _slanted_ ~~gone~~ $x$",
    "two\nlines\r\nand # a heading\n\n| a | row |",
    "\\| an escaped bar \\",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07\x00\x08",
    "\u202egnirts\u2066 \u200b",
]


def step(state: State, outcome: Outcome = "done", seconds: float = 1.0, reason: str = "") -> StepOutcome:
    return StepOutcome(state=state, outcome=outcome, seconds=seconds, reason=reason)


FACTS = Facts(
    event="pr-merge", evidence="the payload names pull request 41", branch="main", pull="41",
    revision="a" * 40, released=None, key="0123456789abcdef0123456789abcdef", image_local=False,
    image_in_registry=False, dump_at_head=False, notest=None, strategy="key", publish=True,
)  # fmt: skip
RUN = RunSummary(
    run="20261123-1",
    version="v0.4.12",
    facts=FACTS,
    steps=(
        step(State.ON_PUSH, seconds=0.0),
        step(State.CHANGE_DETECTED, seconds=0.1),
        step(State.NEW_DATA, reason="no image has this key"),
        step(State.REGEN_SOLR, seconds=187.4, reason="the dump changed"),
        step(State.UNTAG_SOLR_IMAGE),
        step(State.BV_PATCH, "resumed"),
        step(State.RETAG_SOLR_IMAGE),
        step(State.BUILD_TEST_RUNNER),
        step(State.RUN_TESTS, reason="all of them"),
        step(State.PUBLISH, reason="images first"),
    ),
    images={"example.org/site:v0.4.12": "sha256:" + "ab" * 32},
    counts={"archive.passage": 20123, "archive.topic": 3},
    advice=("archive.passage: add select_related('address') to index_queryset",),
)

FAILED = replace(
    RUN,
    steps=(*RUN.steps[:8], step(State.RUN_TESTS, "failed", reason="tests failed: site")),
    images={},
    error=errors.TestsFailedError("tests failed: site", cause="see reports/", hint="just ci-dc up -d"),
)
UNTESTED = replace(
    RUN,
    steps=(
        *RUN.steps[:8],
        step(State.RUN_TESTS, "skipped", 0.0, "[notest] in commit abc1234"),
        step(State.PUBLISH),
    ),
)
BRANCH = replace(RUN, steps=(*RUN.steps[:9], step(State.PUBLISH, "skipped", 0.0, "not on main")), images={})


def shown(summary: RunSummary, width: int = 80) -> str:
    text = io.StringIO()
    # As haybale/terminal.py makes it.
    Console(file=text, width=width, highlight=False, soft_wrap=True).print(render_table(summary))
    return text.getvalue()


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a row of headings, as GitHub reads them."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]])
    return found


# What it says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("summary", "title"),
    [
        (RUN, "v0.4.12 passed and is published"),
        (FAILED, "v0.4.12 failed at runTests"),
        (UNTESTED, "v0.4.12 was NOT tested and is published"),
        (BRANCH, "v0.4.12 passed"),
        (replace(RUN, steps=(), error=HaybaleError("no")), "v0.4.12 failed"),
    ],
)
def test_title_has_the_outcome(summary: RunSummary, title: str) -> None:
    assert summary.title == title
    assert title in shown(summary)
    assert title in render_markdown(summary).splitlines()[0]


def test_rendering_names_skipped_tests_first() -> None:
    for text in (shown(UNTESTED), render_markdown(UNTESTED).replace("\\", "")):
        first = text.strip().splitlines()[:3]
        assert any("ests were skipped" in line and "[notest] in commit abc1234" in line for line in first)
    for summary in (RUN, FAILED, BRANCH):
        assert "skipped" not in shown(summary).split("state", 1)[0]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("summary", [RUN, FAILED, UNTESTED, BRANCH])
def test_render_table_fits_the_terminal(summary: RunSummary, width: int) -> None:
    long = replace(
        summary,
        facts=replace(FACTS, evidence="a reason of many words " * 10),
        steps=tuple(replace(each, reason="x" * 200) for each in summary.steps),
    )
    assert max(len(line) for line in shown(long, width).splitlines()) <= width
    assert shown(long, width).count("x") >= 200 * len(summary.steps)


def test_render_table_has_a_line_for_each_step_with_time_and_reason() -> None:
    lines = shown(FAILED, 120).splitlines()
    assert any(re.search(r"✓ regenSolr\s+3 min 07 s\s+done\s+the dump changed", line) for line in lines)
    assert any(re.search(r"✗ runTests\s+1\.0 s\s+failed\s+tests failed: site", line) for line in lines)
    assert any(re.search(r"archive\.passage\s+20,123", line) for line in lines)
    assert any(re.search(r"together\s+20,126", line) for line in lines)


def test_render_table_has_each_digest_whole_on_a_line() -> None:
    assert "    sha256:" + "ab" * 32 in [line.rstrip() for line in shown(RUN, 80).splitlines()]


def test_render_table_shows_markup_and_commands_as_text() -> None:
    text = shown(replace(RUN, steps=(step(State.RUN_TESTS, reason="[red]x[/] [/y] \x1b[2J\x07z"),)), 120)
    assert "[red]x[/] [/y] z" in text
    assert "\x1b" not in text
    assert "\x07" not in text


# For CI's page -------------------------------------------------------------------------------------------


def test_render_markdown_has_the_steps_with_times_and_reasons() -> None:
    table_ = {row[0]: row[1:] for row in rows(render_markdown(RUN), "state")}
    assert table_["regenSolr"] == ["✓ done", "3 min 07 s", "the dump changed"]
    assert table_["onPush"] == ["✓ done", "", ""]
    assert table_["bvPatch"][0] == "✓ resumed"
    assert list(table_) == [str(each.state) for each in RUN.steps]


def test_render_markdown_has_the_counts_and_the_images() -> None:
    text = render_markdown(RUN)
    assert rows(text, "model") == [
        ["archive.passage", "20,123"], ["archive.topic", "3"], ["together", "20,126"],
    ]  # fmt: skip
    assert rows(text, "image") == [["example.org/site:v0.4.12", "sha256:" + "ab" * 32]]


def test_render_markdown_has_the_path_that_was_taken() -> None:
    text = render_markdown(FAILED)
    assert "\n```mermaid\nstateDiagram-v2\n" in text
    taken = "newData,regenSolr,untagSolrImage,bvPatch,retagSolrImage,buildTestRunner"
    assert f"    class {taken} taken\n" in text
    assert "    class runTests failed\n" in text
    assert "    class runTests skipped\n" in render_markdown(UNTESTED)


def test_render_markdown_has_a_failure_with_cause_and_next_step() -> None:
    block = "```text\ntests failed: site\ncause: see reports/\nnext:  just ci-dc up -d\n```"
    assert block in render_markdown(FAILED)
    assert "```text" not in render_markdown(RUN)


@pytest.mark.parametrize("text", HOSTILE)
def test_render_markdown_is_not_broken_by_what_people_wrote(text: str) -> None:
    """The page has the lines, and its tables the cells, that a harmless text gives."""
    harmless = render_markdown(
        replace(UNTESTED, facts=replace(FACTS, evidence="x"), counts={"x": 1}, error=HaybaleError("x"))
    )
    hostile = render_markdown(
        replace(
            UNTESTED,
            version=f"v1{text}",
            facts=replace(FACTS, evidence=text),
            counts={text: 1},
            steps=tuple(replace(each, reason=text) for each in UNTESTED.steps),
            error=HaybaleError("x"),
        )
    )
    assert len(hostile.splitlines()) == len(harmless.splitlines())
    for heading in ("state", "model", "", "image"):
        before, after = rows(harmless, heading), rows(hostile, heading)
        assert [len(row) for row in after] == [len(row) for row in before]
    outside = re.sub(r"```mermaid\n.*?\n```", "", hostile, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)(?:\\\\)*[<`\[$]", outside.replace("```text\nx\n```", ""))


@pytest.mark.parametrize("text", HOSTILE)
def test_render_markdown_keeps_a_failure_s_text_in_its_block(text: str) -> None:
    page = render_markdown(replace(FAILED, error=HaybaleError(f"{text}\n```\n````\n# out", cause=text)))
    fence = re.search(r"^(`{3,})text$", page, re.MULTILINE)
    assert fence
    block = page.split(f"{fence[1]}text\n", 1)[1].split(f"\n{fence[1]}\n", 1)
    assert "# out" in block[0]
    assert block[1].lstrip().startswith("|  |  |")


@pytest.mark.parametrize("text", HOSTILE)
def test_escape_markdown_adds_backslashes_and_removes_only_what_is_invisible(text: str) -> None:
    line = " ".join(strip_controls(text).split())
    assert re.sub(r"\\([\\`*_~\[\]<>|$&])", r"\1", escape_markdown(text)) == line
    assert not re.search(r"[\x00-\x1f\u202e\u2066\u200b]", escape_markdown(text))


def test_render_markdown_is_far_below_what_github_shows_whatever_is_in_it() -> None:
    text = "🚀|" * 100_000
    page = render_markdown(
        replace(
            UNTESTED,
            version=text, run=text,
            facts=replace(FACTS, event=text, evidence=text, key=text, strategy=text),  # type: ignore[arg-type]
            steps=tuple(step(state, "skipped", reason=text) for state in State),
            counts={f"{number}{text[:2000]}": number for number in range(2000)},
            images={f"{number}{text[:2000]}": text[:2000] for number in range(300)},
            error=HaybaleError(text, cause=text),
        )
    )  # fmt: skip
    assert len(page.encode()) < MEGABYTE
    assert "and 1900 more models" in page


def test_write_step_summary_appends(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n", encoding="utf-8")
    assert write_step_summary("after ✓\n", {"GITHUB_STEP_SUMMARY": str(file)}) is None
    assert file.read_text(encoding="utf-8") == "before\nafter ✓\n"


def test_write_step_summary_writes_nothing_where_there_is_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for env in ({}, {"GITHUB_STEP_SUMMARY": ""}):
        assert write_step_summary("text", env) is None
    assert list(tmp_path.iterdir()) == []


def test_write_step_summary_returns_why_a_page_cannot_be_written(tmp_path: Path) -> None:
    reason = write_step_summary("text", {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert reason
    assert str(tmp_path) in reason


# For machines --------------------------------------------------------------------------------------------


def test_to_dict_is_json_with_everything() -> None:
    document = json.loads(json.dumps(FAILED.to_dict()))
    assert document["version"] == 2
    assert document["outcome"] == "failed"
    assert document["published"] is False
    assert document["error"] == {
        "code": 11, "message": "tests failed: site", "cause": "see reports/", "hint": "just ci-dc up -d",
    }  # fmt: skip
    assert document["steps"][3] == {
        "state": "regenSolr", "outcome": "done", "seconds": 187.4, "reason": "the dump changed",
    }  # fmt: skip
    assert document["counts"] == RUN.counts
    assert RUN.to_dict()["images"] == RUN.images
    assert RUN.to_dict()["outcome"] == "passed"
    assert RUN.to_dict()["published"] is True
    assert RUN.to_dict()["error"] is None


def test_rendering_names_what_would_make_the_index_sooner() -> None:
    assert "add select_related('address')" in shown(RUN)
    assert r"- archive.passage: add select\_related('address') to index\_queryset" in render_markdown(RUN)
    assert "would make the index sooner" not in render_markdown(replace(RUN, advice=()))
    assert RUN.to_dict()["advice"] == list(RUN.advice)


def test_to_dict_has_just_the_documented_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text(encoding="utf-8")
    section = page.split("summary.json", 1)[1].split("\n## ", 1)[0]
    names = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    documented = {name for cell in names for name in re.findall(r"`(\w+)`", cell)}
    assert documented == set(RUN.to_dict())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"), (0.44, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
        (59.6, "1 min 00 s"), (187.4, "3 min 07 s"), (3599.4, "59 min 59 s"), (3599.6, "1 h 00 min"),
        (3720, "1 h 02 min"), (90_000, "25 h 00 min"),
    ],
)  # fmt: skip
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_render_plan_has_the_hooks_of_a_state_below_it() -> None:
    plan = make_plan(replace(FACTS, event="branch"), {"runTests": HookSettings(after=("ci/tell --all",))})
    lines = render_plan(plan).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("runTests"))
    assert lines[at + 1].strip() == "after: ci/tell --all"


def test_render_plan_has_what_is_skipped_in_brackets() -> None:
    lines = render_plan(make_plan(replace(FACTS, event="branch", branch="topic"))).splitlines()
    assert any(line.startswith("(publish)") and "the branch topic" in line for line in lines)
    assert any(line.startswith("regenSolr ") for line in lines)
