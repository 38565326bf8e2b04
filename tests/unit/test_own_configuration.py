"""haybale's own configuration of a core. A real Solr takes it in tests/integration/test_loader.py."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from haybale.errors import ConfigError
from haybale.index.own_configuration import SPELLING, SiteSchema, make_configuration, source_texts

EVENT = {
    "key": "id",
    "type_field": "django_ct",
    "id_field": "django_id",
    "content": "text",
    "spelling": False,
    "fields": {
        "text": {"type": "text_en", "indexed": True, "stored": True, "multiple": False},
        "title_exact": {"type": "string", "indexed": True, "stored": True, "multiple": False},
        "tags": {"type": "text_en", "indexed": True, "stored": False, "multiple": True},
        "raw": {"type": "string", "indexed": False, "stored": True, "multiple": False},
        "place": {"type": "location", "indexed": True, "stored": True, "multiple": False},
        "django_ct": {"type": "text_en", "indexed": True, "stored": True, "multiple": False},
    },
}


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own


def schema_of(event: dict[str, object]) -> ET.Element:
    files = make_configuration(SiteSchema.from_event(event))
    return parse(files["schema.xml"])


def test_make_configuration_has_every_field_once_with_what_haystack_says_of_it() -> None:
    found = schema_of(EVENT)
    fields = {each.get("name"): each.attrib for each in found.findall("field")}
    assert len(fields) == len(found.findall("field"))
    assert fields.keys() == {"id", "django_ct", "django_id", "text", "title_exact", "tags", "raw", "place"}
    assert fields["tags"] == {
        "name": "tags", "type": "text_en", "indexed": "true", "stored": "false", "multiValued": "true"
    }  # fmt: skip
    assert fields["id"]["required"] == "true"
    assert fields["django_ct"]["type"] == "string", "Haystack narrows by it as it is"
    assert found.findtext("uniqueKey") == "id"


def test_make_configuration_keeps_no_doc_values_of_what_is_not_searched() -> None:
    """They may be 32 KB, and such a field any text."""
    fields = {each.get("name"): each.attrib for each in schema_of(EVENT).findall("field")}
    assert fields["raw"]["docValues"] == "false"
    assert "docValues" not in fields["title_exact"]


def test_make_configuration_defines_every_type_that_it_uses() -> None:
    found = schema_of({**EVENT, "spelling": True})
    types = {each.get("name") for each in found.findall("fieldType")}
    used = {each.get("type") for each in (*found.findall("field"), *found.findall("dynamicField"))}
    assert used <= types


@pytest.mark.parametrize("spelling", [True, False])
def test_make_configuration_suggests_only_where_the_site_asks_for_it(spelling: bool) -> None:
    files = make_configuration(SiteSchema.from_event({**EVENT, "spelling": spelling}))
    schema, config = parse(files["schema.xml"]), parse(files["solrconfig.xml"])
    copied = [(each.get("source"), each.get("dest")) for each in schema.findall("copyField")]
    assert copied == ([("text", SPELLING)] if spelling else [])
    assert (config.find("searchComponent[@name='spellcheck']") is not None) == spelling
    named = config.findtext("requestHandler[@name='/select']/arr[@name='last-components']/str")
    assert named == ("spellcheck" if spelling else None)


def test_make_configuration_searches_the_document_s_field() -> None:
    event = {**EVENT, "content": "body", "fields": {"body": EVENT["fields"]["text"]}}  # type: ignore[index]
    config = parse(make_configuration(SiteSchema.from_event(event))["solrconfig.xml"])
    assert config.findtext("requestHandler[@name='/select']/lst/str[@name='df']") == "body"
    assert config.findtext("requestHandler[@name='/mlt']/lst/str[@name='mlt.fl']") == "body"


def test_make_configuration_takes_haystack_s_fields_by_the_names_that_a_site_gives_them() -> None:
    event = {**EVENT, "key": "my_id", "type_field": "my_ct", "id_field": "my_key", "fields": {}}
    found = schema_of(event)
    assert found.findtext("uniqueKey") == "my_id"
    assert {each.get("name") for each in found.findall("field")} == {"my_id", "my_ct", "my_key"}


def test_make_configuration_refuses_a_type_that_only_the_site_s_backend_knows() -> None:
    field = {"type": "text_klingon", "indexed": True, "stored": True, "multiple": False}
    with pytest.raises(ConfigError, match="'saga' has the type 'text_klingon'") as refused:
        schema_of({**EVENT, "fields": {"saga": field}})
    assert "solr_conf" in refused.value.hint


def test_source_texts_are_those_of_the_code_that_makes_and_describes_schemas() -> None:
    texts = source_texts()
    assert any("def make_configuration" in text for text in texts)
    assert any("def describe_schemas" in text for text in texts)
