"""The settings: each value and where it comes from, and their schema for editors."""

from __future__ import annotations

import json
import os
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.commands import json_option
from haybale.config import TABLE, explain_settings
from haybale.config_schema import settings_schema
from haybale.terminal import print_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from haybale.config import SettingValue


@click.command()
@json_option
@click.option("--schema", "as_schema", is_flag=True, help="Print their JSON Schema, for editors.")
def config_command(*, as_json: bool, as_schema: bool) -> None:
    if as_schema:
        print_json(settings_schema())
        return
    settings = explain_settings(Path.cwd(), os.environ)
    if as_json:
        print_json({each.name: {"value": each.value, "source": each.source} for each in settings})
    else:
        click.echo("\n".join(toml_lines(settings)))


def toml_lines(settings: Iterable[SettingValue]) -> Iterator[str]:
    """Yield the settings as TOML, a line each, with where the value comes from as a comment."""
    tables = groupby(settings, key=lambda each: each.name.rpartition(".")[0])
    for number, (table, values) in enumerate(tables):
        if number:
            yield ""
        yield f"[{TABLE}.{table}]" if table else f"[{TABLE}]"
        for each in values:
            name = each.name.rpartition(".")[2]
            # TOML has no null; strings, numbers, truth and lists are written as in JSON.
            line = f"# {name} is not set" if each.value is None else f"{name} = {_toml(each.value)}"
            yield f"{line}  # {each.source}" if each.source else line


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
