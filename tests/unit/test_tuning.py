"""The configuration of Solr while an index is made."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from haybale.errors import ConfigError
from haybale.index import solrconfig as tuning

if TYPE_CHECKING:
    from pathlib import Path

USUAL = """<?xml version="1.0" encoding="UTF-8"?>
<config>
  <luceneMatchVersion>9.10</luceneMatchVersion>
  <indexConfig><ramBufferSizeMB>16</ramBufferSizeMB><lockType>native</lockType></indexConfig>
  <updateHandler class="solr.DirectUpdateHandler2">
    <updateLog><str name="dir">${solr.ulog.dir:}</str></updateLog>
    <autoCommit><maxTime>15000</maxTime></autoCommit>
    <autoSoftCommit><maxTime>1000</maxTime></autoSoftCommit>
  </updateHandler>
  <query>
    <listener event="newSearcher" class="solr.QuerySenderListener"/>
    <listener event="firstSearcher" class="solr.QuerySenderListener"/>
    <filterCache size="512"/>
  </query>
  <requestHandler name="/select" class="solr.SearchHandler"/>
</config>
"""


def tuned(text: str, heap: str = "1g") -> ET.Element:
    return ET.fromstring(tuning.tuned(ET.fromstring(text), heap))  # noqa: S314 - our own


def test_what_is_given_to_the_jvm_does_no_harm_where_it_is_unknown() -> None:
    first, *others = tuning.JVM
    assert first == "-XX:+IgnoreUnrecognizedVMOptions"
    assert others
    assert all(each.startswith("-XX:") and " " not in each for each in others)


def test_what_only_a_living_index_needs_is_gone_and_all_else_is_there() -> None:
    left = [element.tag for element in tuned(USUAL).iter()]
    assert left == [
        "config", "luceneMatchVersion", "indexConfig", "lockType", "ramBufferSizeMB", "updateHandler",
        "query", "filterCache", "requestHandler",
    ]  # fmt: skip


@pytest.mark.parametrize(("heap", "buffer"), [("512m", "102"), ("1g", "204"), ("2g", "409")])
def test_the_buffer_is_by_the_heap(heap: str, buffer: str) -> None:
    assert tuned(USUAL, heap).findtext("indexConfig/ramBufferSizeMB") == buffer
    assert tuned("<config/>", heap).findtext("indexConfig/ramBufferSizeMB") == buffer


@pytest.mark.parametrize(
    ("gigabytes", "heap"), [(1, "512m"), (2, "512m"), (4, "1024m"), (8, "2048m"), (256, "2048m")]
)
def test_the_heap_is_by_the_machine(gigabytes: int, heap: str) -> None:
    assert tuning.heap(gigabytes * 1024**3) == heap


@pytest.mark.parametrize(
    ("text", "told"),
    [("<config>\n  <query>\n</config>", "solrconfig.xml:3:"), ("<schema/>", "not with <config>")],
)
def test_what_is_no_configuration_is_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / tuning.FILE
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        tuning.read(file)
    assert told in caught.value.message


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*solrconfig\.xml"):
        tuning.read(tmp_path / tuning.FILE)
