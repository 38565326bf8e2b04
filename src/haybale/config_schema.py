"""The settings as a JSON Schema, for editors: made from the same declarations that validate them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from haybale.config import Settings, default_of

# The dialect that editors' TOML plug-ins understand (taplo, "Using JSON Schemas").
DIALECT = "http://json-schema.org/draft-07/schema#"

TYPES = {str: "string", int: "integer", bool: "boolean"}


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of `[tool.haybale]`, as plain values.

    What only code can judge (an image's name, the order of environments) is not in it.
    """
    return {"$schema": DIALECT, "title": "[tool.haybale]", **_table_schema(Settings)}


def _table_schema(kind: type[Any]) -> dict[str, Any]:
    fields = {each.name: each for each in dataclasses.fields(kind)}
    properties = {name: _schema(type_, fields[name]) for name, type_ in typing.get_type_hints(kind).items()}
    required = [
        name
        for name, each in fields.items()
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]
    return {
        "description": str(kind.__doc__).partition("\n")[0],
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _schema(type_: Any, each: dataclasses.Field[Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(type_):
        return _table_schema(typing.cast("type[Any]", type_))
    if "description" not in each.metadata:
        is_list = typing.get_origin(type_) is tuple
        inner = _table_schema(typing.get_args(type_)[0 if is_list else 1])
        if is_list:
            return {"type": "array", "items": inner}
        names = {"pattern": f"^({each.metadata['names']})$"}
        return {"type": "object", "propertyNames": names, "additionalProperties": inner}
    schema: dict[str, Any] = {"description": each.metadata["description"]}
    if containers := {tuple, Mapping} & {typing.get_origin(part) for part in typing.get_args(type_)}:
        schema["anyOf"] = _one_or_several(containers.pop(), each)
    elif type_ in {tuple[str, ...], Mapping[str, str]}:
        pattern = each.metadata["pattern"]
        item = {"type": "string", **({"pattern": f"^({pattern})$"} if pattern else {})}
        is_list = typing.get_origin(type_) is tuple
        schema |= (
            {"type": "array", "items": item} if is_list else {"type": "object", "additionalProperties": item}
        )
        if names := each.metadata["names"]:
            schema["propertyNames"] = {"pattern": f"^({names})$"}
    else:
        plain = next(part for part in (type_, *typing.get_args(type_)) if part in TYPES)
        schema["type"] = TYPES[plain]
        if plain is int:
            schema["minimum"] = each.metadata["minimum"]
        if each.metadata["pattern"]:
            empty = "|" if each.default is None else ""
            schema["pattern"] = f"^({each.metadata['pattern']}{empty})$"
    default = default_of(each)
    if default is not dataclasses.MISSING and default is not None:
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema


def _one_or_several(container: Any, each: dataclasses.Field[Any]) -> list[dict[str, Any]]:
    """Return the schemas of a string that may be several: a list of them, or a table."""
    pattern, empty = each.metadata["pattern"], "|" if each.default is None else ""
    one = {"type": "string", **({"pattern": f"^({pattern}{empty})$"} if pattern else {})}
    item = {"type": "string", **({"pattern": f"^({pattern})$"} if pattern else {})}
    if container is tuple:
        return [one, {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}]
    return [one, {"type": "object", "additionalProperties": item, "minProperties": 1}]
