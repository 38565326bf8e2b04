"""Which of a client's methods are pysolr's own: where it has others, what reaches Solr is not known."""

from __future__ import annotations

from typing import Any

# What pysolr does with documents behind `add`, in any of its versions: 3.9 has no `_build_docs`, 3.8 and
# older ones have `_build_doc` instead of all three.
BEHIND_ADD = (
    "_build_doc", "_build_docs", "_build_json_doc", "_build_xml_doc", "_from_python", "_is_null_value",
    "_update", "_send_request",
)  # fmt: skip


def changed_methods(client: Any, library: Any) -> list[str]:
    """Return the methods behind `add` that a client has and that are not of `library`, which is pysolr."""
    return [
        name for name in BEHIND_ADD if hasattr(client, name) and not is_from(library, getattr(client, name))
    ]


def is_from(module: Any, function: Any) -> bool:
    """Return whether a module defines a function, or a method."""
    return getattr(function, "__globals__", None) is vars(module) or (
        getattr(getattr(function, "__func__", None), "__globals__", None) is vars(module)
    )
