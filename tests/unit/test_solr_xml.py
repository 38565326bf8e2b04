"""Solr's XML files with the line of each element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.errors import ConfigError
from haybale.index.solr_xml import read_xml

if TYPE_CHECKING:
    from pathlib import Path


def test_read_xml_places_what_is_included_and_what_entities_name(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/types.xml").write_text('<!-- two -->\n<fieldType name="a"/>\n<fieldType name="b"/>')
    (tmp_path / "field.xml").write_text('\n\n<field name="c"/>')
    (tmp_path / "schema.xml").write_text(
        '<!DOCTYPE schema [<!ENTITY types SYSTEM "parts/types.xml">]>\n'
        '<schema xmlns:xi="http://www.w3.org/2001/XInclude">\n&types;\n<types>\n'
        '<fieldType name="d"/></types>\n'
        '<xi:include href="field.xml"/>\n<copyField/></schema>'
    )
    xml = read_xml(tmp_path / "schema.xml", "conf/schema.xml")
    named = {each.get("name"): xml.place(each) for each in xml.root.iter() if each.get("name")}
    assert named["a"] == "conf/parts/types.xml:2"
    assert named["b"] == "conf/parts/types.xml:3"
    assert named["d"] == "conf/schema.xml:5"
    assert named["c"].startswith("conf/")
    (copy_field,) = xml.root.findall("copyField")
    assert xml.place(copy_field) == "conf/schema.xml:7"
    assert b'name="b"' in xml.to_bytes()
    assert b"xi:include" not in xml.to_bytes()


@pytest.mark.parametrize(
    "text", ["<a>\n&nothing;</a>", "<a>\n<b></a>", '<!DOCTYPE a [<!ENTITY b "">]>\n<a>&c;</a>']
)
def test_read_xml_names_the_line_of_what_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "schema.xml").write_text(text)
    with pytest.raises(ConfigError, match=r"conf/schema\.xml:2: it cannot be read as XML"):
        read_xml(tmp_path / "schema.xml", "conf/schema.xml")


def test_read_xml_names_the_broken_file_that_an_entity_names(tmp_path: Path) -> None:
    (tmp_path / "types.xml").write_text("<a>\n\n</b>")
    (tmp_path / "schema.xml").write_text('<!DOCTYPE a [<!ENTITY t SYSTEM "types.xml">]><a>&t;</a>')
    with pytest.raises(ConfigError, match=r"conf/types\.xml:3: "):
        read_xml(tmp_path / "schema.xml", "conf/schema.xml")
    (tmp_path / "types.xml").unlink()
    with pytest.raises(ConfigError, match=r"conf/types\.xml cannot be read"):
        read_xml(tmp_path / "schema.xml", "conf/schema.xml")
