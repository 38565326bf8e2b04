"""A core's configuration that was written for an older Solr, as Solr 9 takes it: where that means the same.

What stands in the tables was tried with Solr 9.10.1, an element in a core of its own: only what it refuses,
or silently does without, is touched. So Trie fields stay as they are (9 has them still, and a point field
answers facets in another way), and so do <lib>, <jmx> and an old luceneMatchVersion, which Solr passes over.
Sources of what means the same: the Solr Reference Guide, "Major Changes in Solr 5" to "9"; the deprecation
notes of Lucene's analysis factories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.index.solr_classes import find_module_class, find_replacement, is_removed
from haybale.index.solrconfig import find_or_add, resolve, set_option

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from haybale.index.solr_xml import SolrXml

# What a class is called without its package, where a configuration may mean Solr's own.
SOLR_PACKAGES = ("solr.", "org.apache.solr.", "org.apache.lucene.")

LATEST = "LATEST"
# Solr 9 refuses a point field there ("can not be configured to use a Points based FieldType").
UNIQUE_KEY = 'class="solr.StrField", as it is the unique key'


# Attributes of old types that the new ones do not know.
OLD_TYPE_ATTRIBUTES = ("precisionStep", "subFieldSuffix", "subFieldType", "dimension")

# What these field types could do without, the new ones sort and facet by.
DOC_VALUES = {"docValues": "true"}

# Analysis factories that became others: their names without package, with the attributes that mean the same.
FACTORIES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "EnglishPorterFilterFactory": ("SnowballPorterFilterFactory", {"language": "English"}),
    "FrenchStemFilterFactory": ("SnowballPorterFilterFactory", {"language": "French"}),
    "DutchStemFilterFactory": ("SnowballPorterFilterFactory", {"language": "Dutch"}),
    "RussianStemFilterFactory": ("SnowballPorterFilterFactory", {"language": "Russian"}),
    "RussianLowerCaseFilterFactory": ("LowerCaseFilterFactory", {}),
    "RussianLetterTokenizerFactory": ("StandardTokenizerFactory", {}),
    "ArabicLetterTokenizerFactory": ("StandardTokenizerFactory", {}),
    "ISOLatin1AccentFilterFactory": ("ASCIIFoldingFilterFactory", {}),
}
# A filter that does nothing since Lucene 3.1.
IDLE_FILTERS = ("StandardFilterFactory",)

# Attributes of analysis factories that have one meaning left, and what that is.
SINGLE_VALUES = {
    "enablePositionIncrements": ("true", "a word that is left out leaves its position"),
    "side": ("front", "n-grams begin at the front; reverse the words around it for those of the end"),
    "updateOffsets": ("false", "offsets stay those of the text"),
}

SIMILARITIES = {
    "DefaultSimilarityFactory": "ClassicSimilarityFactory",
    "DefaultSimilarity": "ClassicSimilarityFactory",
    "LegacyBM25SimilarityFactory": "BM25SimilarityFactory",
}

# How segments were written, merged and locked: an index that is baked holds the same documents without.
OLD_INDEX_SETTINGS = (
    "mergeFactor",
    "maxMergeDocs",
    "mergePolicy",
    "nrtMode",
    "termIndexInterval",
    "checkIntegrityAtMerge",
    "unlockOnStartup",
    "luceneAutoCommit",
)

# What a site that asks with Haystack never calls, and what Solr has by itself.
UNUSED_CLASSES = (
    "AdminHandlers",
    "LoggingHandler",
    "AnalysisRequestHandler",
    "DataImportHandler",
    "CdcrRequestHandler",
    "SpellCheckerRequestHandler",
    "XsltUpdateRequestHandler",
    "XSLTResponseWriter",
    "VelocityResponseWriter",
    "RunExecutableListener",
)
# What Solr has under the same name by itself ("Implicit Request Handlers").
IMPLICIT_HANDLERS = {"JsonUpdateRequestHandler": "/update/json", "CSVRequestHandler": "/update/csv"}
# Classes that became others which do the same, with what stands in their `defaults` then.
HANDLERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "JsonUpdateRequestHandler": ("UpdateRequestHandler", {}),
    "CSVRequestHandler": ("UpdateRequestHandler", {}),
    "XmlUpdateRequestHandler": ("UpdateRequestHandler", {}),
    "BinaryUpdateRequestHandler": ("UpdateRequestHandler", {}),
    "DisMaxRequestHandler": ("SearchHandler", {"defType": "dismax"}),
}
# Elements that Solr makes when they are first asked for, and so not while a core loads.
LAZY = ("requestHandler", "queryResponseWriter")

# Attributes of field types and analysis factories that name files, several with commas between them.
FILE_ATTRIBUTES = (
    "words", "synonyms", "protected", "articles", "dictionary", "affix", "mapping", "types", "tags",
    "userDictionary", "currencyConfig", "enumsConfig",
)  # fmt: skip
# How the names of files begin that are in Solr's own libraries.
IN_LIBRARIES = ("org/apache/", "/org/apache/")

# Our own parameters, for all handlers; those of the site's own go before them.
OWN_PARAMETERS = "haybale"


@dataclass(frozen=True, kw_only=True)
class Outdated:
    """Something that Solr 9 does not take: its place (FILE:LINE), what it is, and what to write for it.

    `is_adapted`: haybale writes that into the copy that it bakes. `instead` is None for what is only removed.
    """

    place: str
    what: str
    instead: str | None
    is_adapted: bool

    def __str__(self) -> str:
        if self.is_adapted:
            return f"{self.place}: {self.what}; {self.instead or 'left out'}"
        return f"{self.place}: {self.what}; {self.fix}"

    @property
    def fix(self) -> str:
        """What is to be done in the file itself."""
        return f"write {self.instead}" if self.instead else "remove it"


def upgrade_schema(schema: SolrXml) -> tuple[list[Outdated], dict[str, str]]:
    """Change a schema to what Solr 9 takes.

    Returns what was found, and the parameters of queries that it gave and that now go into solrconfig.xml.
    """
    found = [
        *_upgrade_field_types(schema),
        *_upgrade_analysis(schema),
        *_upgrade_fields(schema),
        *_upgrade_similarities(schema),
    ]
    defaults, moved = _take_defaults(schema)
    return [*found, *moved, *_other_removed(schema)], defaults


def drop_unused_types(schema: SolrXml, files: Collection[str], used: Collection[str]) -> list[Outdated]:
    """Take the field types out of a schema that name files which are not there, where no field is of them.

    What Haystack writes has a type for each of 30 languages. `files` are those there are, `used` the names of
    types that solrconfig.xml may mean. A type that a field has stays: its core does not load. All of them are
    one finding, at the first one's place.
    """
    found: list[tuple[ET.Element, str, list[str]]] = []
    targets = {each.get(key) for each in schema.root.iter("copyField") for key in ("source", "dest")}
    for parent, element in _children(schema.root):
        name = element.get("name", "")
        missing = sorted({file for inner in element.iter() for file in named_files(inner)} - {*files})
        if not _is_field_type(element) or not missing or name in used:
            continue
        patterns = [each for each in _children(schema.root) if each[1].get("type") == name]
        if all(each.tag == "dynamicField" and each.get("name") not in targets for _, each in patterns):
            parent.remove(element)
            for its_parent, each in patterns:
                its_parent.remove(each)
            found.append((element, name, missing))
    if not found:
        return []
    first, _, missing = found[0]
    names = ", ".join(name for _, name, _ in found)
    what = (
        f"types that no field is of name files which are not there, such as {missing[0]}:"
        f" {names} ({len(found)} in all)"
    )
    return [_adapted(schema, first, what)]


def named_files(element: ET.Element) -> Iterator[str]:
    """Yield the files, in the folder conf, that an element names and that Solr needs to load a core."""
    names = ""
    if element.tag == "str" and element.get("name") == "config-file":
        names = element.text or ""
    elif _is_field_type(element) or element.tag.lower() in {"filter", "tokenizer", "charfilter"}:
        names = ",".join(element.get(each, "") for each in FILE_ATTRIBUTES)
    for name in names.split(","):
        if resolve(name) and not resolve(name).startswith(IN_LIBRARIES):
            yield resolve(name)


def upgrade_solrconfig(config: SolrXml, defaults: Mapping[str, str]) -> list[Outdated]:
    """Change a solrconfig.xml to what Solr 9 takes, with the `defaults` of queries; return what was found."""
    found = [
        *_upgrade_version(config),
        *_upgrade_index_settings(config),
        *_upgrade_caches(config),
        *_upgrade_handlers(config),
        *_other_removed(config),
    ]
    _add_defaults(config.root, defaults)
    return found


def short_class(element: ET.Element) -> str:
    """Return an element's class without its package, where it is Solr's or Lucene's; else ""."""
    name = resolve(element.get("class"))
    return name.rpartition(".")[2] if "." not in name or name.startswith(SOLR_PACKAGES) else ""


def is_loaded(element: ET.Element) -> bool:
    """Return whether Solr makes this while a core loads: not switched off, nor made when it is asked for."""
    is_lazy = element.tag in LAZY and element.get("startup") == "lazy"
    return resolve(element.get("enable", "true")) != "false" and not is_lazy


def _adapted(xml: SolrXml, element: ET.Element, what: str, instead: str | None = None) -> Outdated:
    return Outdated(place=xml.place(element), what=what, instead=instead, is_adapted=True)


def _not_in_solr(element: ET.Element) -> str:
    return f"{element.get('class')} is not in Solr 9"


def _swap_class(element: ET.Element, short: str, attributes: Mapping[str, str]) -> str:
    """Give an element another class of Solr's; return what it says now."""
    element.set("class", f"solr.{short}")
    for key, value in attributes.items():
        element.attrib.setdefault(key, value)
    return " ".join(f'{key}="{element.get(key)}"' for key in ("class", *attributes))


def _children(root: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    """Yield each element with the one that it is in; they may be removed meanwhile."""
    for parent in list(root.iter()):
        for child in list(parent):
            yield parent, child


def _is_field_type(element: ET.Element) -> bool:
    return element.tag.lower() == "fieldtype"


def _upgrade_field_types(schema: SolrXml) -> Iterator[Outdated]:
    key = (schema.root.findtext(".//uniqueKey") or "").strip()
    keys = {each.get("type") for each in schema.root.iter("field") if each.get("name") == key}
    for element in filter(_is_field_type, list(schema.root.iter())):
        short, name = short_class(element), element.get("class", "")
        instead = (find_replacement(name) or "").removeprefix("solr.") if short and is_removed(name) else ""
        if instead.endswith(("PointField", "LatLonPointSpatialField")) and element.get("name") not in keys:
            what = _not_in_solr(element)
            for old in OLD_TYPE_ATTRIBUTES:
                element.attrib.pop(old, None)
            yield _adapted(schema, element, what, _swap_class(element, instead, DOC_VALUES))
        elif short == "SpatialTermQueryPrefixTreeFieldType":
            what = _not_in_solr(element)
            new = _swap_class(element, "SpatialRecursivePrefixTreeFieldType", {})
            yield _adapted(schema, element, what, new)
        if short.endswith("PrefixTreeFieldType") and "units" in element.attrib:
            units = element.attrib.pop("units")
            element.attrib.setdefault("distanceUnits", units)
            yield _adapted(schema, element, f'units="{units}" is not in Solr 9', f'distanceUnits="{units}"')


def _upgrade_analysis(schema: SolrXml) -> Iterator[Outdated]:
    for parent, element in _children(schema.root):
        short = short_class(element)
        if short in IDLE_FILTERS:
            parent.remove(element)
            yield _adapted(schema, element, _not_in_solr(element))
        elif short in FACTORIES:
            what, (new, attributes) = _not_in_solr(element), FACTORIES[short]
            element.attrib.pop("charset", None)
            yield _adapted(schema, element, what, _swap_class(element, new, attributes))
        if short.endswith(("FilterFactory", "TokenizerFactory")):
            for attribute, (value, meaning) in SINGLE_VALUES.items():
                given = element.get(attribute)
                if given is None:
                    continue
                if given == value:
                    del element.attrib[attribute]
                yield Outdated(
                    place=schema.place(element),
                    what=f'{attribute}="{given}" is not in Solr 9: {meaning}',
                    instead=None,
                    is_adapted=given == value,
                )


def _upgrade_fields(schema: SolrXml) -> Iterator[Outdated]:
    for element in [*schema.root.iter("field"), *schema.root.iter("dynamicField")]:
        for old in ("compressed", "compressThreshold"):
            if old in element.attrib:
                value = element.attrib.pop(old)
                yield _adapted(schema, element, f'{old}="{value}" is not in Solr 9')


def _upgrade_similarities(schema: SolrXml) -> Iterator[Outdated]:
    for element in schema.root.iter("similarity"):
        if new := SIMILARITIES.get(short_class(element)):
            what = _not_in_solr(element)
            yield _adapted(schema, element, what, _swap_class(element, new, {}))


def _take_defaults(schema: SolrXml) -> tuple[dict[str, str], list[Outdated]]:
    """Take the default field and operator out of a schema: they are parameters of queries now."""
    defaults: dict[str, str] = {}
    found = []
    for parent, element in _children(schema.root):
        if element.tag == "defaultSearchField":
            key, value, what = "df", (element.text or "").strip(), "Solr 9 takes no <defaultSearchField>"
        elif element.tag == "solrQueryParser" and element.get("defaultOperator"):
            key, value, what = "q.op", element.get("defaultOperator", ""), "Solr 9 takes no defaultOperator"
        else:
            continue
        parent.remove(element)
        defaults[key] = value
        new = f'<str name="{key}">{value}</str> in the defaults of the handlers in solrconfig.xml'
        found.append(_adapted(schema, element, what, new))
    return {key: value for key, value in defaults.items() if value}, found


def _add_defaults(root: ET.Element, defaults: Mapping[str, str]) -> None:
    """Have handlers take these parameters where they have none of their own ("Request Parameters API")."""
    if not defaults:
        return
    # A path is matched by names that begin with a slash; others take what they name.
    for handler in root.findall("requestHandler"):
        if not handler.get("name", "").startswith("/") and handler.get("initParams") is None:
            handler.set("initParams", OWN_PARAMETERS)
    parameters = ET.SubElement(root, "initParams", {"name": OWN_PARAMETERS, "path": "/**"})
    values = ET.SubElement(parameters, "lst", {"name": "defaults"})
    for key, value in defaults.items():
        set_option(values, key, value)


def _upgrade_version(config: SolrXml) -> Iterator[Outdated]:
    if config.root.find("luceneMatchVersion") is None:
        ET.SubElement(config.root, "luceneMatchVersion").text = LATEST
        new = f"<luceneMatchVersion>{LATEST}</luceneMatchVersion>"
        yield _adapted(config, config.root, "there is no <luceneMatchVersion>", new)


def _upgrade_index_settings(config: SolrXml) -> Iterator[Outdated]:
    root = config.root
    # What mainIndex said went before what indexDefaults said.
    for tag in ("mainIndex", "indexDefaults"):
        for old in root.findall(tag):
            settings = find_or_add(root, "indexConfig")
            for each in old:
                if settings.find(each.tag) is None:
                    settings.append(each)
            root.remove(old)
            yield _adapted(config, old, f"Solr 9 takes no <{tag}>", "<indexConfig> with what stands in it")
    for settings in root.findall("indexConfig"):
        for each in [each for each in settings if each.tag in OLD_INDEX_SETTINGS]:
            settings.remove(each)
            yield _adapted(config, each, f"Solr 9 takes no <{each.tag}>")


def _upgrade_caches(config: SolrXml) -> Iterator[Outdated]:
    for element in config.root.findall("query/*"):
        if find_replacement(element.get("class", "")) == "solr.CaffeineCache" and short_class(element):
            what = _not_in_solr(element)
            yield _adapted(config, element, what, _swap_class(element, "CaffeineCache", {}))


def _upgrade_handlers(config: SolrXml) -> Iterator[Outdated]:
    for parent, element in _children(config.root):
        short = short_class(element)
        if not is_loaded(element):
            continue
        is_implicit = short in IMPLICIT_HANDLERS and element.get("name") == IMPLICIT_HANDLERS[short]
        if (short in UNUSED_CLASSES and not _is_module_s_own(element)) or is_implicit:
            parent.remove(element)
            yield _adapted(config, element, _not_in_solr(element))
        elif short in HANDLERS:
            what, (new, parameters) = _not_in_solr(element), HANDLERS[short]
            values = element.find("lst[@name='defaults']")
            if values is None:
                values = ET.SubElement(element, "lst", {"name": "defaults"})
            for key, value in parameters.items():
                set_option(values, key, value)
            added = "".join(f", {key}={value} in its defaults" for key, value in parameters.items())
            yield _adapted(config, element, what, f"{_swap_class(element, new, {})}{added}")
        elif short == "SimpleFSDirectoryFactory":
            what = _not_in_solr(element)
            yield _adapted(config, element, what, _swap_class(element, "NRTCachingDirectoryFactory", {}))
        elif short == "EditorialMarkerFactory":
            what, new = _not_in_solr(element), "org.apache.solr.response.transform.ElevatedMarkerFactory"
            element.set("class", new)
            yield _adapted(config, element, what, f'class="{new}"')


def _is_module_s_own(element: ET.Element) -> bool:
    """Return whether a class is named as Solr 9 finds it in a module (solr.scripting.xslt.…)."""
    name = element.get("class", "").replace("org.apache.solr.", "solr.")
    found = find_module_class(name)
    return found is not None and found.name == name


def _other_removed(xml: SolrXml) -> Iterator[Outdated]:
    """Yield the classes that are removed and have no equal."""
    for element in xml.root.iter():
        name = resolve(element.get("class"))
        if short_class(element) and is_removed(name) and is_loaded(element):
            new = find_replacement(name)
            is_key = _is_field_type(element) and (new or "").endswith("PointField")
            instead = UNIQUE_KEY if is_key else f'class="{new}"' if new else None
            what = _not_in_solr(element)
            yield Outdated(place=xml.place(element), what=what, instead=instead, is_adapted=False)
