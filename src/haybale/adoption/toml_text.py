"""Settings as TOML, as a person would write them: values first, then tables, one below the other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# Small tables that stand in one line.
INLINE = {"solr_conf", "headers", "health_headers", "cookies"}


def render_table(table: Mapping[str, Any], name: str) -> str:
    """Return a table and those in it as TOML: text, truth, numbers, lists and tables of them."""
    return "\n".join(_lines(table, name, is_list=False)).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], name: str, *, is_list: bool) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if _is_table(key, value)}
    values = {key: value for key, value in table.items() if key not in inner}
    if values:
        yield ""
        yield f"[[{name}]]" if is_list else f"[{name}]"
        yield from (f"{_key(key)} = {_value(value)}" for key, value in values.items())
    for key, value in inner.items():
        for each in value if isinstance(value, list) else [value]:
            yield from _lines(each, f"{name}.{_key(key)}", is_list=isinstance(value, list))


def _is_table(key: str, value: object) -> bool:
    is_list = isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
    return is_list or (isinstance(value, dict) and key not in INLINE)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())} }}"
    # Strings, numbers, truth and lists are written as in JSON.
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
