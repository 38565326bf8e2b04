"""The configuration of Solr while an index is made."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from haybale.errors import ConfigError
from haybale.index.home import CoreFolder, serving_changes
from haybale.index.solrconfig import (
    JVM_OPTIONS,
    SOLRCONFIG,
    ServedConfiguration,
    adapt_for_serving,
    default_heap,
    memory_limit,
    read_solrconfig,
    tune,
)

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


@pytest.mark.parametrize(("heap", "limit"), [("512m", "2048m"), ("2g", "5120m"), ("10g", "21504m")])
def test_memory_limit_leaves_more_than_the_heap(heap: str, limit: str) -> None:
    assert memory_limit(heap) == limit


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


SERVABLE = """<config>
  <schemaFactory class="solr.ClassicIndexSchemaFactory"/>
  <!-- As it is. -->
  <dataDir>${solr.data.dir:}</dataDir>
  <indexConfig><lockType>${solr.lock.type:single}</lockType></indexConfig>
  <updateHandler class="solr.DirectUpdateHandler2"/>
</config>
"""
FACTORY = '<schemaFactory class="solr.ClassicIndexSchemaFactory"/>'
LOCK = "<lockType>${solr.lock.type:single}</lockType>"
HANDLER = '<updateHandler class="solr.DirectUpdateHandler2"/>'


def suggester(options: str) -> str:
    return f"""<searchComponent name="suggest" class="solr.SuggestComponent">
      <lst name="suggester"><str name="name">words</str>{options}</lst></searchComponent></config>"""


def served(folder: Path, text: str, *, has_managed_resources: bool = False) -> ServedConfiguration:
    (folder / SOLRCONFIG).write_text(text, encoding="utf-8")
    root = read_solrconfig(folder / SOLRCONFIG).root
    return adapt_for_serving(root, "site", has_managed_resources=has_managed_resources)


def content(found: ServedConfiguration) -> bytes:
    assert found.solrconfig
    return found.solrconfig


def test_adapt_for_serving_leaves_what_can_be_served(tmp_path: Path) -> None:
    found = served(tmp_path, SERVABLE)
    assert found == ServedConfiguration(solrconfig=None, changes=())


# Which of these Solr 9.10 cannot open read-only, or opens without what it should have, was tried with that
# Solr: tests/integration/test_serving.py does so.
@pytest.mark.parametrize(
    ("before", "after", "place", "value"),
    [
        (FACTORY, "", "schemaFactory class", "ClassicIndexSchemaFactory"),
        (FACTORY, '<schemaFactory class="solr.ManagedIndexSchemaFactory"/>', "schemaFactory class",
         "ClassicIndexSchemaFactory"),
        (FACTORY, '<schemaFactory class="${factory:ManagedIndexSchemaFactory}"/>', "schemaFactory class",
         "ClassicIndexSchemaFactory"),
        (LOCK, "<lockType>native</lockType>", "indexConfig/lockType", "single"),
        (LOCK, "<lockType>${solr.lock.type:native}</lockType>", "indexConfig/lockType", "single"),
        (LOCK, "<lockType>simple</lockType>", "indexConfig/lockType", "single"),
        (LOCK, "", "indexConfig/lockType", "single"),
        (f"<indexConfig>{LOCK}</indexConfig>", "", "indexConfig/lockType", "single"),
        (HANDLER, "<updateHandler><updateLog/></updateHandler>", "updateHandler/updateLog", None),
        ("${solr.data.dir:}", "${solr.data.dir:/var/solr/data}", "dataDir", None),
        ("</config>", '<directoryFactory name="DirectoryFactory" class="solr.RAMDirectoryFactory"/></config>',
         "directoryFactory", None),
        ("</config>", suggester('<str name="lookupImpl">AnalyzingInfixLookupFactory</str>'),
         "searchComponent/lst/str[@name='buildOnStartup']", "false"),
        ("</config>", suggester('<str name="storeDir">words</str><str name="buildOnStartup">true</str>'),
         "searchComponent/lst/str[@name='buildOnStartup']", "false"),
    ],
)  # fmt: skip
def test_adapt_for_serving_changes_what_cannot_be_served(
    tmp_path: Path, before: str, after: str, place: str, value: str | None
) -> None:
    assert before in SERVABLE
    found = served(tmp_path, SERVABLE.replace(before, after))
    (change,) = found.changes
    root = ET.fromstring(content(found))  # noqa: S314 - our own
    path, _, attribute = place.partition(" ")
    element = root.find(path)
    assert (None if element is None else element.get(attribute, element.text)) == value
    folder = CoreFolder(folder=tmp_path, label="conf")
    assert serving_changes([folder], is_closed=False) == (f"conf/{SOLRCONFIG}: {change}",)
    again = tmp_path / "again"
    again.mkdir()
    assert served(again, content(found).decode()).changes == (), "what was adapted can be served"


@pytest.mark.parametrize(
    "after",
    [
        LOCK.replace("single", "none"),
        "<lockType>${solr.lock.type:single}</lockType><infoStream>true</infoStream>",
    ],
)
def test_adapt_for_serving_leaves_locks_that_write_nothing(tmp_path: Path, after: str) -> None:
    assert served(tmp_path, SERVABLE.replace(LOCK, after)).changes == ()


@pytest.mark.parametrize("options", ["", '<str name="lookupImpl">FuzzyLookupFactory</str>'])
def test_adapt_for_serving_leaves_suggesters_in_memory(tmp_path: Path, options: str) -> None:
    assert served(tmp_path, SERVABLE.replace("</config>", suggester(options))).changes == ()


def test_adapt_for_serving_reads_managed_resources_where_nothing_can_be_written(tmp_path: Path) -> None:
    found = served(tmp_path, SERVABLE, has_managed_resources=True)
    root = ET.fromstring(content(found))  # noqa: S314 - our own
    assert root.findtext("restManager/str[@name='storageDir']") == "/opt/haybale/solr/site/conf"
    assert served(tmp_path, content(found).decode(), has_managed_resources=True).changes == ()


def test_adapt_for_serving_knows_where_solr_writes_the_schema(tmp_path: Path) -> None:
    usual = ("managed-schema.xml", "managed-schema")
    assert served(tmp_path, SERVABLE.replace(FACTORY, "")).managed_schemas == usual
    named = (
        '<schemaFactory class="ManagedIndexSchemaFactory">'
        '<str name="managedSchemaResourceName">mine.xml</str></schemaFactory>'
    )
    assert served(tmp_path, SERVABLE.replace(FACTORY, named)).managed_schemas == ("mine.xml", *usual)


def test_read_solrconfig_reads_what_it_includes(tmp_path: Path) -> None:
    include = '<xi:include href="lock.xml" xmlns:xi="http://www.w3.org/2001/XInclude"/>'
    text = SERVABLE.replace(f"<indexConfig>{LOCK}</indexConfig>", include)
    assert include in text
    with pytest.raises(ConfigError, match=r"lock\.xml cannot be read"):
        served(tmp_path, text)
    (tmp_path / "lock.xml").write_text(f"<indexConfig>{LOCK}</indexConfig>", encoding="utf-8")
    assert served(tmp_path, text).changes == ()
    (tmp_path / "lock.xml").write_text("<indexConfig><lockType>native</lockType></indexConfig>", "utf-8")
    found = served(tmp_path, text)
    (change,) = found.changes
    assert change == "the lock type is single: native writes a file"
    assert content(found).count(b"<indexConfig>") == 1
    (tmp_path / "lock.xml").write_text("<indexConfig>\n<lockType></indexConfig>", "utf-8")
    with pytest.raises(ConfigError, match=r"lock\.xml:2: "):
        served(tmp_path, text)


def test_tune_has_the_index_and_its_suggestions_written_into_the_core() -> None:
    text = SERVABLE.replace("${solr.data.dir:}", "/var/solr/elsewhere").replace(
        "</config>", suggester('<str name="lookupImpl">solr.AnalyzingInfixLookupFactory</str>')
    )
    found = tuned(text)
    assert found.find("dataDir") is None
    assert found.findtext("searchComponent/lst/str[@name='buildOnCommit']") == "true"


PING = '<requestHandler name="/admin/ping" class="solr.PingRequestHandler">{}</requestHandler>{}</config>'
WORD = '<lst name="invariants"><str name="q">solrpingquery</str></lst>'
FIELD = '<lst name="defaults"><str name="df">text</str></lst>'


@pytest.mark.parametrize(
    ("handler", "beside", "change"),
    [
        ("", "", None),
        ('<lst name="invariants"><str name="q">*:*</str></lst>', "", None),
        (WORD + FIELD, "", None),
        (WORD, f'<initParams path="/select,/**">{FIELD}</initParams>', None),
        (WORD, f'<initParams path="/select,/update/**">{FIELD}</initParams>', "has no field"),
        (WORD, "", "has no field"),
        (WORD + FIELD + '<str name="healthcheckFile">on</str>', "", "waits for a file"),
    ],
)
def test_adapt_for_serving_answers_pings(
    tmp_path: Path, handler: str, beside: str, change: str | None
) -> None:
    text = SERVABLE.replace("</config>", PING.format(handler, beside))
    found = served(tmp_path, text)
    assert [(change or "nothing") in each for each in found.changes] == [True] * (change is not None)
    handlers = tuned(text).findall("requestHandler")
    assert len(handlers) == (change is None), "an index is made with the same"
