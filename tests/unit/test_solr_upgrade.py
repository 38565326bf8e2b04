"""What was written for an older Solr, as Solr 9 takes it.

That Solr 9 takes it, and refuses what is changed, is tried in tests/integration/test_solr_9.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.index.solr_upgrade import (
    Outdated,
    drop_unused_types,
    named_files,
    upgrade_schema,
    upgrade_solrconfig,
)
from haybale.index.solr_xml import SolrXml, read_xml

if TYPE_CHECKING:
    from pathlib import Path


HANDLERS = " in the defaults of the handlers in solrconfig.xml"


def schema_of(folder: Path, content: str) -> SolrXml:
    (folder / "schema.xml").write_text(f"<schema>\n{content}\n</schema>", encoding="utf-8")
    return read_xml(folder / "schema.xml", "schema.xml")


def config_of(folder: Path, content: str, version: str = "9.10") -> SolrXml:
    text = f"<config><luceneMatchVersion>{version}</luceneMatchVersion>\n{content}\n</config>"
    (folder / "solrconfig.xml").write_text(text, encoding="utf-8")
    return read_xml(folder / "solrconfig.xml", "solrconfig.xml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<fieldType name="a" class="solr.LatLonType" subFieldSuffix="_coordinate"/>',
            '<fieldType name="a" class="solr.LatLonPointSpatialField" docValues="true" />',
        ),
        (
            '<fieldtype name="a" class="solr.GeoHashField" docValues="false"/>',
            '<fieldtype name="a" class="solr.LatLonPointSpatialField" docValues="false" />',
        ),
        (
            '<fieldType name="a" class="solr.SortableIntField" precisionStep="0" omitNorms="true"/>',
            '<fieldType name="a" class="solr.IntPointField" omitNorms="true" docValues="true" />',
        ),
        (
            '<fieldType name="a" class="org.apache.solr.schema.DateField"/>',
            '<fieldType name="a" class="solr.DatePointField" docValues="true" />',
        ),
        (
            '<fieldType name="a" class="solr.SpatialRecursivePrefixTreeFieldType" units="degrees"/>',
            '<fieldType name="a" class="solr.SpatialRecursivePrefixTreeFieldType" distanceUnits="degrees" />',
        ),
        ('<filter class="solr.StandardFilterFactory"/>', ""),
        (
            '<filter class="solr.EnglishPorterFilterFactory" protected="words.txt"/>',
            '<filter class="solr.SnowballPorterFilterFactory" protected="words.txt" language="English" />',
        ),
        (
            '<filter class="solr.StopFilterFactory" words="a.txt" enablePositionIncrements="true"/>',
            '<filter class="solr.StopFilterFactory" words="a.txt" />',
        ),
        (
            '<filter class="solr.EdgeNGramFilterFactory" minGramSize="2" maxGramSize="9" side="front"/>',
            '<filter class="solr.EdgeNGramFilterFactory" minGramSize="2" maxGramSize="9" />',
        ),
        ('<field name="a" type="b" compressed="true"/>', '<field name="a" type="b" />'),
        (
            '<similarity class="solr.DefaultSimilarityFactory"/>',
            '<similarity class="solr.ClassicSimilarityFactory" />',
        ),
        ("<defaultSearchField>text</defaultSearchField>", ""),
        ('<solrQueryParser defaultOperator="AND"/>', ""),
    ],
)
def test_upgrade_schema_writes_what_means_the_same(tmp_path: Path, before: str, after: str) -> None:
    schema = schema_of(tmp_path, before)
    (found,), _ = upgrade_schema(schema)
    assert found.is_adapted
    assert found.place == "schema.xml:2"
    expected = f"<schema>\n{after}\n</schema>" if after else "<schema>\n</schema>"
    assert schema.to_bytes().decode().partition("?>\n")[2] == expected
    (tmp_path / "schema.xml").write_bytes(schema.to_bytes())
    assert upgrade_schema(read_xml(tmp_path / "schema.xml")) == ([], {}), "what was adapted stays"


@pytest.mark.parametrize(
    "content",
    [
        '<fieldType name="a" class="solr.TrieIntField" precisionStep="0"/>',
        '<filter class="solr.WordDelimiterFilterFactory"/><filter class="solr.SynonymFilterFactory"/>',
        '<fieldType name="a" class="org.example.DateField"/>',
        '<fieldType name="a" class="org.example.LatLonType" units="miles"/>',
        '<filter class="org.example.OurFilterFactory"/>',
        "<types/><fields/><solrQueryParser/>",
    ],
)
def test_upgrade_schema_leaves_what_solr_takes_and_what_is_no_solr_s(tmp_path: Path, content: str) -> None:
    schema = schema_of(tmp_path, content)
    before = schema.to_bytes()
    assert upgrade_schema(schema) == ([], {})
    assert schema.to_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            '<filter class="solr.PositionFilterFactory"/>',
            "schema.xml:2: solr.PositionFilterFactory is not in Solr 9; remove it",
        ),
        (
            '<tokenizer class="solr.CJKTokenizerFactory"/>',
            (
                "schema.xml:2: solr.CJKTokenizerFactory is not in Solr 9; "
                'write class="solr.StandardTokenizerFactory"'
            ),
        ),
        (
            '<fieldType name="n" class="solr.IntField"/><field name="k" type="n"/><uniqueKey>k</uniqueKey>',
            (
                "schema.xml:2: solr.IntField is not in Solr 9; "
                'write class="solr.StrField", as it is the unique key'
            ),
        ),
        (
            '<filter class="solr.EdgeNGramFilterFactory" side="back"/>',
            (
                'schema.xml:2: side="back" is not in Solr 9: n-grams begin at the front; '
                "reverse the words around it for those of the end; remove it"
            ),
        ),
    ],
)
def test_upgrade_schema_only_names_what_has_no_equal(tmp_path: Path, content: str, sentence: str) -> None:
    schema = schema_of(tmp_path, content)
    before = schema.to_bytes()
    (found,), _ = upgrade_schema(schema)
    assert str(found) == sentence
    assert not found.is_adapted
    assert schema.to_bytes() == before


def test_upgrade_schema_hands_default_field_and_operator_to_solrconfig(tmp_path: Path) -> None:
    schema = schema_of(
        tmp_path, '<defaultSearchField> text </defaultSearchField>\n<solrQueryParser defaultOperator="AND"/>'
    )
    found, defaults = upgrade_schema(schema)
    assert defaults == {"df": "text", "q.op": "AND"}
    assert [str(each) for each in found] == [
        'schema.xml:2: Solr 9 takes no <defaultSearchField>; <str name="df">text</str>' + HANDLERS,
        'schema.xml:3: Solr 9 takes no defaultOperator; <str name="q.op">AND</str>' + HANDLERS,
    ]
    config = config_of(
        tmp_path, '<requestHandler name="/select"/><requestHandler name="old"/><initParams path="/x"/>'
    )
    assert upgrade_solrconfig(config, defaults) == []
    given = {each.get("name"): each.get("initParams") for each in config.root.findall("requestHandler")}
    own = config.root.findall("initParams")[-1]
    assert own.get("path") == "/**"
    assert given == {"/select": None, "old": own.get("name")}, "a path matches no name without a slash"
    assert {each.get("name"): each.text for each in own.iter("str")} == defaults


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<query><filterCache class="solr.FastLRUCache" size="2"/></query>',
            '<query><filterCache class="solr.CaffeineCache" size="2" /></query>',
        ),
        (
            '<query><cache name="a" class="solr.search.LRUCache"/></query>',
            '<query><cache name="a" class="solr.CaffeineCache" /></query>',
        ),
        ('<queryResponseWriter name="xslt" class="solr.XSLTResponseWriter"><int/></queryResponseWriter>', ""),
        ('<queryResponseWriter name="v" class="solr.VelocityResponseWriter" enable="${v:true}"/>', ""),
        ('<requestHandler name="/admin/" class="solr.admin.AdminHandlers"/>', ""),
        ('<requestHandler name="/i" class="org.apache.solr.handler.dataimport.DataImportHandler"/>', ""),
        ('<requestHandler name="/update/json" class="solr.JsonUpdateRequestHandler"/>', ""),
        (
            (
                '<requestHandler name="/update/own" class="solr.JsonUpdateRequestHandler">'
                '<lst name="defaults"/></requestHandler>'
            ),
            (
                '<requestHandler name="/update/own" class="solr.UpdateRequestHandler"><lst name="defaults" />'
                "</requestHandler>"
            ),
        ),
        (
            '<requestHandler name="d" class="solr.DisMaxRequestHandler"/>',
            (
                '<requestHandler name="d" class="solr.SearchHandler"><lst name="defaults">'
                '<str name="defType">dismax</str></lst></requestHandler>'
            ),
        ),
        ("<indexConfig><mergeFactor>4</mergeFactor></indexConfig>", "<indexConfig />"),
        (
            '<updateHandler><listener class="solr.RunExecutableListener"/></updateHandler>',
            "<updateHandler />",
        ),
        (
            '<directoryFactory name="DirectoryFactory" class="solr.SimpleFSDirectoryFactory"/>',
            '<directoryFactory name="DirectoryFactory" class="solr.NRTCachingDirectoryFactory" />',
        ),
    ],
)
def test_upgrade_solrconfig_writes_what_means_the_same(tmp_path: Path, before: str, after: str) -> None:
    config = config_of(tmp_path, before)
    (found,) = upgrade_solrconfig(config, {})
    assert found.is_adapted
    assert found.place == "solrconfig.xml:2"
    head = "<config><luceneMatchVersion>9.10</luceneMatchVersion>\n"
    written = config.to_bytes().decode().partition("?>\n")[2]
    assert written == (f"{head}{after}\n</config>" if after else f"{head}</config>")
    assert upgrade_solrconfig(config, {}) == [], "what was adapted stays"


@pytest.mark.parametrize(
    "content",
    [
        '<queryResponseWriter name="v" startup="lazy" class="solr.VelocityResponseWriter"/>',
        '<queryResponseWriter name="v" enable="${v:false}" class="solr.VelocityResponseWriter"/>',
        '<queryResponseWriter name="x" class="solr.scripting.xslt.XSLTResponseWriter"/>',
        '<requestHandler name="/update/extract" class="solr.extraction.ExtractingRequestHandler"/>',
        '<lib dir="../../contrib/extraction/lib" regex=".*"/><jmx/>',
        '<query><cache class="org.example.LRUCache"/></query>',
        "<indexConfig><lockType>native</lockType></indexConfig>",
    ],
)
def test_upgrade_solrconfig_leaves_what_solr_takes(tmp_path: Path, content: str) -> None:
    config = config_of(tmp_path, content, version="LUCENE_43")
    before = config.to_bytes()
    assert upgrade_solrconfig(config, {}) == []
    assert config.to_bytes() == before


def test_upgrade_solrconfig_takes_the_index_settings_of_solr_3(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "<indexDefaults><lockType>native</lockType><ramBufferSizeMB>32</ramBufferSizeMB></indexDefaults>\n"
        "<mainIndex><lockType>single</lockType><unlockOnStartup>true</unlockOnStartup></mainIndex>",
    )
    found = upgrade_solrconfig(config, {})
    assert [each.place for each in found] == ["solrconfig.xml:3", "solrconfig.xml:2", "solrconfig.xml:3"]
    assert config.root.findtext("indexConfig/lockType") == "single"
    assert config.root.findtext("indexConfig/ramBufferSizeMB") == "32"
    left = [each.tag for each in config.root]
    assert left == ["luceneMatchVersion", "indexConfig"]


def test_upgrade_solrconfig_adds_a_version_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "solrconfig.xml").write_text("\n<config/>", encoding="utf-8")
    config = read_xml(tmp_path / "solrconfig.xml", "solrconfig.xml")
    (found,) = upgrade_solrconfig(config, {})
    assert found == Outdated(
        place="solrconfig.xml:2",
        what="there is no <luceneMatchVersion>",
        instead="<luceneMatchVersion>LATEST</luceneMatchVersion>",
        is_adapted=True,
    )
    assert config.root.findtext("luceneMatchVersion") == "LATEST"


TYPE = '<fieldType name="{0}"><analyzer><filter words="{0}.txt"/></analyzer></fieldType>'


def test_drop_unused_types_whose_files_are_not_there(tmp_path: Path) -> None:
    names = ("ar", "bg", "copied", "en", "spell", "there")
    content = "\n".join(TYPE.format(name) for name in names)
    content += (
        '<field name="text" type="en"/><dynamicField name="*_ar" type="ar"/>'
        '<dynamicField name="*_copied" type="copied"/><copyField source="text" dest="*_copied"/>'
    )
    schema = schema_of(tmp_path, content)
    found = drop_unused_types(schema, {"there.txt"}, {"spell"})
    assert [str(each) for each in found] == [
        (
            "schema.xml:2: types that no field is of name files which are not there, such as ar.txt: ar, bg"
            " (2 in all); left out"
        )
    ]
    left = [each.get("name") for each in schema.root if each.get("name")]
    assert left == ["copied", "en", "spell", "there", "text", "*_copied"]


def test_named_files_are_those_of_the_folder_conf(tmp_path: Path) -> None:
    schema = schema_of(
        tmp_path,
        '<fieldType currencyConfig="currency.xml"><filter words="a.txt,lang/b.txt"/>'
        '<filter words="org/apache/lucene/analysis/snowball/english_stop.txt"/>'
        '<filter synonyms="${s:c.txt}"/>'
        '<field words="d.txt"/></fieldType><str name="config-file">elevate.xml</str>',
    )
    found = [name for element in schema.root.iter() for name in named_files(element)]
    assert found == ["currency.xml", "a.txt", "lang/b.txt", "c.txt", "elevate.xml"]
