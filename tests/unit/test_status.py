from __future__ import annotations

import io
import json

from rich.console import Console

from haybale.commands.status import drift_lines, status_page, status_table
from haybale.deploy.status import EnvironmentStatus

ENVIRONMENTS = [
    EnvironmentStatus(
        environment="dev", version="v0.4.12", commit="c" * 40, since="2026-11-23T10:00:00Z", by="Ada <&> Co",
        last="v0.4.11", site="r/site@sha256:1", index="r/site@sha256:2", key="0123456789abcdef", behind=3,
    ),
    EnvironmentStatus(
        environment="prod", after="dev", version="v0.4.11", drift=("site image: there is no [r/site]",),
    ),
    EnvironmentStatus(environment="stage"),
]  # fmt: skip


def shown(environments: list[EnvironmentStatus]) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    console.print(status_table(environments))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_status_table_row_for_each_environment() -> None:
    lines = {line.split()[1]: line for line in shown(ENVIRONMENTS).splitlines() if line.startswith("│")}
    for part in ("v0.4.12", "2026-11-23T10:00:00Z", "Ada <&> Co", "v0.4.11", " 3 ", "0123456789ab"):
        assert part in lines["dev"]
    assert "nothing" in lines["stage"]
    assert set(lines) == {"dev", "prod", "stage"}


def test_drift_lines_name_environment() -> None:
    assert drift_lines(ENVIRONMENTS) == ["prod: site image: there is no [r/site]"]


def test_status_page_escapes_markup() -> None:
    page = status_page(ENVIRONMENTS)
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert "Ada &lt;&amp;&gt; Co" in page
    assert "prod: site image: there is no [r/site]" in page


def test_environment_status_to_dict() -> None:
    _, prod, stage = json.loads(json.dumps([each.to_dict() for each in ENVIRONMENTS]))
    assert (prod["environment"], prod["drift"]) == ("prod", ["site image: there is no [r/site]"])
    assert (stage["environment"], stage["behind"]) == ("stage", None)
