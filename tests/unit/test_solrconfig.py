"""The configuration of Solr while an index is made."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from haybale.errors import ConfigError
from haybale.index.solrconfig import JVM_OPTIONS, SOLRCONFIG, default_heap, read_solrconfig, tune

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
    return ET.fromstring(tune(ET.fromstring(text), heap))  # noqa: S314 - our own


def test_jvm_options_do_no_harm_where_they_are_unknown() -> None:
    first, *others = JVM_OPTIONS
    assert first == "-XX:+IgnoreUnrecognizedVMOptions"
    assert others
    assert all(each.startswith("-XX:") and " " not in each for each in others)


def test_tune_drops_only_what_an_index_in_use_needs() -> None:
    left = [element.tag for element in tuned(USUAL).iter()]
    assert left == [
        "config", "luceneMatchVersion", "indexConfig", "lockType", "ramBufferSizeMB", "updateHandler",
        "query", "filterCache", "requestHandler",
    ]  # fmt: skip


@pytest.mark.parametrize(("heap", "buffer"), [("512m", "102"), ("1g", "204"), ("2g", "409")])
def test_tune_sets_the_buffer_by_the_heap(heap: str, buffer: str) -> None:
    assert tuned(USUAL, heap).findtext("indexConfig/ramBufferSizeMB") == buffer
    assert tuned("<config/>", heap).findtext("indexConfig/ramBufferSizeMB") == buffer


@pytest.mark.parametrize(
    ("gigabytes", "heap"), [(1, "512m"), (2, "512m"), (4, "1024m"), (8, "2048m"), (256, "2048m")]
)
def test_default_heap_is_by_the_memory(gigabytes: int, heap: str) -> None:
    assert default_heap(gigabytes * 1024**3) == heap


@pytest.mark.parametrize(
    ("text", "message"),
    [("<config>\n  <query>\n</config>", "solrconfig.xml:3:"), ("<schema/>", "not with <config>")],
)
def test_read_solrconfig_names_what_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / SOLRCONFIG
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_solrconfig(file)
    assert message in caught.value.message


def test_read_solrconfig_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*solrconfig\.xml"):
        read_solrconfig(tmp_path / SOLRCONFIG)
