from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from haybale.errors import DumpError
from haybale.terminal import FittingTable, Terminal, format_rate, print_json, stdout_console

if TYPE_CHECKING:
    from rich.console import RenderableType


def printed(what: RenderableType, width: int) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, soft_wrap=True).print(what)
    return text.getvalue().splitlines()


def made(*, terminal: bool = False) -> tuple[Terminal, io.StringIO]:
    text = io.StringIO()
    return Terminal(Console(file=text, force_terminal=terminal, width=100, soft_wrap=True)), text


def test_error_has_its_three_parts_after_its_log() -> None:
    shown, text = made()
    shown.error(
        DumpError("the dump a.zip is damaged", cause="truncated", hint="copy it again", log="one\ntwo")
    )
    assert text.getvalue().splitlines() == [
        "one",
        "two",
        "",
        "haybale: the dump a.zip is damaged",
        "  cause: truncated",
        "  next:  copy it again",
    ]


def test_error_prints_markup_as_text() -> None:
    shown, text = made()
    shown.error(DumpError("[red]no[/] [/x] dump"))
    assert text.getvalue() == "haybale: [red]no[/] [/x] dump\n"


def test_progress_without_a_terminal_is_a_few_lines_and_always_the_last() -> None:
    shown, text = made()
    with shown.progress() as advance:
        for done in range(0, 10_001, 100):
            advance("archive.passage", done, 10_000)
        advance("archive.topic", 3, 3)
        advance("archive.empty", 0, 0)
    lines = text.getvalue().splitlines()
    assert len(lines) == 7
    assert "archive.passage: 2000 of 10000 documents" in lines[0]
    assert "archive.passage: 10000 of 10000 documents" in lines[4]
    assert "archive.topic: 3 of 3 documents" in lines[5]
    assert lines[6].endswith("archive.empty: 0 of 0 documents")


def test_progress_without_a_terminal_prints_the_last_line_once() -> None:
    for before in range(1, 100):
        shown, text = made()
        with shown.progress() as advance:
            advance("archive.passage", before, 100)
            advance("archive.passage", 100, 100)
            advance("archive.passage", 100, 100)
        assert text.getvalue().count("100 of 100") == 1


def test_progress_on_a_terminal_has_a_bar_with_counts() -> None:
    shown, text = made(terminal=True)
    with shown.progress() as advance:
        advance("archive.passage", 50, 100)
        advance("archive.passage", 100, 100)
    assert "archive.passage" in text.getvalue()
    assert "100/100" in text.getvalue()


def test_progress_keeps_the_rate_of_a_model_that_is_reported_twice() -> None:
    clock = iter([0.0, 1.0, 2.0])
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with Terminal(console, lambda: next(clock)).progress() as advance:
        advance("archive.passage", 100, 200)
        advance("archive.passage", 200, 200)
        advance("archive.passage", 200, 200)
    assert "200/200" in text.getvalue()
    assert text.getvalue().rstrip().count("100 docs/s") >= 1


def test_format_rate_is_empty_before_there_is_one() -> None:
    assert format_rate(0, 1.0) == ""
    assert format_rate(10, 0.0) == ""
    assert format_rate(22, 0.00001) == ""
    assert format_rate(5000, 2.0) == "2,500 docs/s"


def test_print_json_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"key": ["value"]})
    assert json.loads(capsys.readouterr().out) == {"key": ["value"]}


def models() -> Table:
    table = Table("model", "rows", "what was found", title="3 documents")
    table.add_row("archive.presidentialaddress", "1,234,567", Text("all of them [as they should be]"))
    table.add_row("archive.speech", "", "[bold]two[/]")
    return table


AS_LIST = [
    "3 documents",
    "• archive.presidentialaddress",
    "  rows: 1,234,567",
    "  what was found: all of them [as they should be]",
    "• archive.speech",
    "  what was found: two",
]


@pytest.mark.parametrize(
    ("width", "is_list"), [(60, True), (76, True), (77, False), (100, False), (200, False)]
)
def test_fitting_table_is_a_list_where_it_does_not_fit(width: int, is_list: bool) -> None:
    lines = printed(FittingTable(models()), width)
    assert (lines == AS_LIST) == is_list
    assert max(map(len, lines)) <= width
    for cell in ("archive.presidentialaddress", "1,234,567", "all of them [as they should be]", "two"):
        assert any(cell in line for line in lines)
    assert "…" not in "".join(lines)


def test_stdout_console_has_no_width_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stdout_console().print(FittingTable(models()))
    assert (
        "│ archive.presidentialaddress │ 1,234,567 │ all of them [as they should be] │"
        in capsys.readouterr().out
    )
