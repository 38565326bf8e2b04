"""Which methods of a site's Solr client are pysolr's own."""

from __future__ import annotations

from types import ModuleType

import pytest

from haybale.loader.documents.client_methods import changed_methods, is_from

# What each version of pysolr has behind `add`.
VERSIONS = {
    "3.8": ("_build_doc", "_from_python", "_is_null_value", "_update", "_send_request"),
    "3.9": (
        "_build_json_doc", "_build_xml_doc", "_from_python", "_is_null_value", "_update", "_send_request",
    ),
    "3.10": (
        "_build_docs", "_build_json_doc", "_build_xml_doc", "_from_python", "_is_null_value", "_update",
        "_send_request",
    ),
}  # fmt: skip


def library(methods: tuple[str, ...]) -> ModuleType:
    """Return a module with a class Solr that has these methods."""
    made = ModuleType("pysolr")
    body = "\n".join(f"    def {each}(self): pass" for each in methods)
    exec(f"class Solr:\n{body}\n", vars(made))  # noqa: S102 - a module of its own, as a library is
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_changed_methods_are_none_of_any_version_s_own_client(version: str) -> None:
    pysolr = library(VERSIONS[version])
    assert changed_methods(pysolr.Solr(), pysolr) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_changed_methods_names_what_a_site_replaced(version: str) -> None:
    pysolr = library(VERSIONS[version])
    name = VERSIONS[version][0]
    own = type("OwnSolr", (pysolr.Solr,), {name: lambda self: self})
    assert changed_methods(own(), pysolr) == [name]
    own_client = pysolr.Solr()
    own_client._update = lambda: None
    assert changed_methods(own_client, pysolr) == ["_update"]


def test_is_from_takes_functions_and_methods() -> None:
    pysolr = library(("add",))
    assert is_from(pysolr, pysolr.Solr.add)
    assert is_from(pysolr, pysolr.Solr().add)
    assert not is_from(pysolr, test_is_from_takes_functions_and_methods)
    assert not is_from(pysolr, None)
