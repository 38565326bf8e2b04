"""haybale's own configuration of a core, for a site that keeps none: made from the fields of its indexes.

The fields and the names of their types are those of Haystack's build_solr_schema, whose template is for Solr
6; here each type is what Solr 9 and 10 have for it. Everything is of Solr's core: no module is needed, no
further file, and the index is served as it was made, from an image that nothing is written to.

This module is part of the index key: what stands here counts, and not what it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from haybale.errors import ConfigError
from haybale.index.solrconfig import SCHEMA, SOLRCONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, kw_only=True)
class SchemaField:
    """A field of a schema: the name of its type, whether it is indexed and stored, and has several values."""

    type: str
    indexed: bool
    stored: bool
    multiple: bool


@dataclass(frozen=True, kw_only=True)
class SiteSchema:
    """What a core's schema is made of, as the loader describes it (loader/site_schema.py).

    `key`, `type_field` and `id_field` are Haystack's own fields, `content` is the one that is searched, and
    `fields` are the others, by their names. `spelling`: the site asks for suggestions.
    """

    key: str
    type_field: str
    id_field: str
    content: str
    spelling: bool
    fields: Mapping[str, SchemaField]

    @classmethod
    def from_event(cls, described: Mapping[str, Any]) -> SiteSchema:
        """Return a core's part of the event `schemas`; raises `TypeError`, `KeyError` where it is none."""
        fields = {name: SchemaField(**field) for name, field in described["fields"].items()}
        return cls(**{**described, "fields": fields})


# Haystack's names for the types of fields. Values for facets and sorting are kept beside the index
# (docValues), and given back only where a field is stored.
_PRIMITIVE = 'docValues="true" useDocValuesAsStored="false"'
_WORDS = '<tokenizer class="solr.StandardTokenizerFactory"/><filter class="solr.LowerCaseFilterFactory"/>'
_PARTS = (
    '<tokenizer class="solr.WhitespaceTokenizerFactory"/><filter class="solr.LowerCaseFilterFactory"/>'
    '<filter class="solr.WordDelimiterGraphFilterFactory"/>'
)


def _text(*filters: str) -> str:
    """Return what a type of text is, with further filters behind its words in lower case."""
    added = "".join(f"<filter {each}/>" for each in filters)
    return f'class="solr.TextField" positionIncrementGap="100"><analyzer>{_WORDS}{added}</analyzer>'


def _stems(language: str) -> str:
    return f'class="solr.SnowballPorterFilterFactory" language="{language}"'


TYPES: Mapping[str, str] = {
    "string": f'class="solr.StrField" sortMissingLast="true" {_PRIMITIVE}>',
    "boolean": f'class="solr.BoolField" sortMissingLast="true" {_PRIMITIVE}>',
    "integer": f'class="solr.IntPointField" {_PRIMITIVE}>',
    "int": f'class="solr.IntPointField" {_PRIMITIVE}>',
    "long": f'class="solr.LongPointField" {_PRIMITIVE}>',
    "float": f'class="solr.FloatPointField" {_PRIMITIVE}>',
    "double": f'class="solr.DoublePointField" {_PRIMITIVE}>',
    "date": f'class="solr.DatePointField" {_PRIMITIVE}>',
    "location": f'class="solr.LatLonPointSpatialField" {_PRIMITIVE}>',
    "text_general": _text(),
    "text_en": _text('class="solr.EnglishPossessiveFilterFactory"', 'class="solr.PorterStemFilterFactory"'),
    # A part of three characters or more, and a beginning of two or more, up to 15.
    "ngram": (
        'class="solr.TextField"><analyzer type="index"><tokenizer class="solr.KeywordTokenizerFactory"/>'
        '<filter class="solr.LowerCaseFilterFactory"/>'
        '<filter class="solr.NGramFilterFactory" minGramSize="3" maxGramSize="15"/>'
        '</analyzer><analyzer type="query"><tokenizer class="solr.KeywordTokenizerFactory"/>'
        '<filter class="solr.LowerCaseFilterFactory"/></analyzer>'
    ),
    "edge_ngram": (
        f'class="solr.TextField" positionIncrementGap="1"><analyzer type="index">{_PARTS}'
        '<filter class="solr.FlattenGraphFilterFactory"/>'
        '<filter class="solr.EdgeNGramFilterFactory" minGramSize="2" maxGramSize="15"/></analyzer>'
        f'<analyzer type="query">{_PARTS}</analyzer>'
    ),
    # What backends for other languages call theirs.
    **{
        f"text_{code}": _text(_stems(language))
        for code, language in {
            "ca": "Catalan", "da": "Danish", "de": "German", "es": "Spanish", "eu": "Basque", "fi": "Finnish",
            "fr": "French", "ga": "Irish", "hu": "Hungarian", "hy": "Armenian", "it": "Italian",
            "lt": "Lithuanian", "nl": "Dutch", "no": "Norwegian", "pt": "Portuguese", "ro": "Romanian",
            "ru": "Russian", "sv": "Swedish",
        }.items()
    },
}  # fmt: skip

# Fields that an index adds in its `prepare`, by the ends of their names.
DYNAMIC = {
    "i": "int", "l": "long", "s": "string", "b": "boolean", "f": "float", "d": "double", "dt": "date",
    "t": "text_general", "p": "location",
}  # fmt: skip
DYNAMIC_MULTIPLE = {
    "is": "int", "ls": "long", "ss": "string", "bs": "boolean", "fs": "float", "ds": "double", "dts": "date",
    "txt": "text_general",
}  # fmt: skip

# What is suggested from: the words as they are written.
SPELLING = "spelling_words"

SCHEMA_XML = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Made by haybale from the fields of the site's search indexes. -->
<schema name="haybale" version="1.6">
{lines}
  <uniqueKey>{key}</uniqueKey>
</schema>
"""

SOLRCONFIG_XML = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Made by haybale, for an index that is made once and then only read. -->
<config>
  <!-- The Solr that makes the index is the one that serves it. -->
  <luceneMatchVersion>LATEST</luceneMatchVersion>
  <schemaFactory class="ClassicIndexSchemaFactory"/>
  <directoryFactory name="DirectoryFactory" class="solr.NRTCachingDirectoryFactory"/>
  <indexConfig>
    <lockType>single</lockType>
  </indexConfig>
  <updateHandler class="solr.DirectUpdateHandler2"/>
  <query>
    <maxBooleanClauses>1024</maxBooleanClauses>
    <filterCache class="solr.CaffeineCache" size="512" initialSize="64" autowarmCount="0"/>
    <queryResultCache class="solr.CaffeineCache" size="512" initialSize="64" autowarmCount="0"/>
    <documentCache class="solr.CaffeineCache" size="1024" initialSize="128" autowarmCount="0"/>
    <enableLazyFieldLoading>true</enableLazyFieldLoading>
    <useColdSearcher>true</useColdSearcher>
  </query>
  <requestDispatcher>
    <requestParsers multipartUploadLimitInKB="-1" formdataUploadLimitInKB="-1"/>
    <httpCaching never304="true"/>
  </requestDispatcher>
  <requestHandler name="/select" class="solr.SearchHandler">
    <lst name="defaults">
      <str name="echoParams">none</str>
      <str name="df">{content}</str>
    </lst>{components}
  </requestHandler>
  <!-- What more_like_this asks. -->
  <requestHandler name="/mlt" class="solr.MoreLikeThisHandler">
    <lst name="defaults">
      <str name="mlt.fl">{content}</str>
      <str name="df">{content}</str>
    </lst>
  </requestHandler>
  <requestHandler name="/admin/ping" class="solr.PingRequestHandler">
    <lst name="invariants">
      <str name="q">*:*</str>
      <int name="rows">0</int>
    </lst>
  </requestHandler>{spelling}
</config>
"""

SPELLING_COMPONENTS = """
    <arr name="last-components">
      <str>spellcheck</str>
    </arr>"""
SPELLING_COMPONENT = f"""
  <searchComponent name="spellcheck" class="solr.SpellCheckComponent">
    <str name="queryAnalyzerFieldType">text_general</str>
    <lst name="spellchecker">
      <str name="name">default</str>
      <str name="classname">solr.DirectSolrSpellChecker</str>
      <str name="field">{SPELLING}</str>
    </lst>
  </searchComponent>"""


def make_configuration(schema: SiteSchema) -> dict[str, str]:
    """Return the files of a core's configuration (name -> content).

    Raises `ConfigError` where a backend of the site's own gives a field a type that is not known here.
    """
    components, spelling = (SPELLING_COMPONENTS, SPELLING_COMPONENT) if schema.spelling else ("", "")
    return {
        SCHEMA: SCHEMA_XML.format(lines="\n".join(_lines(schema)), key=escape(schema.key)),
        SOLRCONFIG: SOLRCONFIG_XML.format(
            content=escape(schema.content), components=components, spelling=spelling
        ),
    }


def source_texts() -> tuple[str, ...]:
    """Return the texts of the code that makes configurations: they determine the index."""
    package = resources.files("haybale")
    files = ("index/own_configuration.py", "loader/site_schema.py")
    return tuple((package / file).read_text(encoding="utf-8") for file in files)


def _lines(schema: SiteSchema) -> Iterator[str]:
    for name, content in TYPES.items():
        yield f'  <fieldType name="{name}" {content}</fieldType>'
    own = (schema.key, schema.type_field, schema.id_field)
    for name in own:
        is_required = ' required="true"' if name == schema.key else ""
        yield f'  <field name={quoteattr(name)} type="string" indexed="true" stored="true"{is_required}/>'
    for name, field in sorted(schema.fields.items()):
        if name in own:
            continue
        if field.type not in TYPES:
            raise ConfigError(
                f"the field {name!r} has the type {field.type!r}, which haybale's own schema has not",
                cause=f"a backend of the site's own names it; there are {', '.join(TYPES)}",
                hint="keep schema.xml and solrconfig.xml in the repository, and name their folder: solr_conf",
            )
        yield f"  <field name={quoteattr(name)} {_attributes(field)}/>"
    for suffixes, is_multiple in ((DYNAMIC, False), (DYNAMIC_MULTIPLE, True)):
        for suffix, kind in suffixes.items():
            field = SchemaField(type=kind, indexed=True, stored=True, multiple=is_multiple)
            yield f'  <dynamicField name="*_{suffix}" {_attributes(field)}/>'
    if schema.spelling and schema.content:
        words = SchemaField(type="text_general", indexed=True, stored=False, multiple=True)
        yield f'  <field name="{SPELLING}" {_attributes(words)}/>'
        yield f'  <copyField source={quoteattr(schema.content)} dest="{SPELLING}"/>'


def _attributes(field: SchemaField) -> str:
    """Return a field's attributes; what is not searched has no doc values, whose size is limited."""
    flags = {"indexed": field.indexed, "stored": field.stored, "multiValued": field.multiple}
    is_text = "solr.TextField" in TYPES[field.type]
    if not field.indexed and not is_text:
        flags["docValues"] = False
    told = (f'{name}="{str(value).lower()}"' for name, value in flags.items())
    return " ".join([f'type="{field.type}"', *told])
