"""Renders a rehearsal for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from haybale.rehearsal.run import Rehearsal


def deliveries_table(rehearsal: Rehearsal) -> Table:
    """Return what was sent and what came of it, a section for each move."""
    table = Table(
        title=f"rehearsal of {rehearsal.environment}", title_justify="left", box=None, pad_edge=False
    )
    for heading in ("", "move", "event", "ref", "Receiver", ""):
        table.add_column(heading, no_wrap=True)
    table.add_column("it")
    move = ""
    for each in rehearsal.deliveries:
        table.add_row(
            _mark(each.passed), each.move if each.move != move else "", each.event or "none",
            (each.ref or "").removeprefix("refs/tags/"), each.receiver, str(each.status or ""), each.detail,
        )  # fmt: skip
        move = each.move
    return table


def check_lines(rehearsal: Rehearsal) -> list[str]:
    """Return what else was checked, a line each."""
    checks = [f"{_mark(each.passed)} {each.name}: {each.detail}" for each in rehearsal.checks]
    return checks + [f"! {note}" for note in rehearsal.notes]


def _mark(passed: bool) -> str:
    return "✓" if passed else "✗"
