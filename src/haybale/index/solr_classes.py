"""Classes that a Solr configuration names and a Solr 9 has not loaded: of its modules, and those it removed.

Which classes there are was read from Solr 9.10.1 itself: from the jars of its slim image (solr-*, lucene-*:
what is there is in neither table), of its modules from the artifacts org.apache.solr:solr-MODULE 9.10.1 and
org.apache.lucene:lucene-analysis-* 9.12.3 or their sources (solr/modules/MODULE/src/java); only what a
schema.xml or solrconfig.xml can name stands here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# By module (Solr Reference Guide, "Solr Modules"): its classes, as Solr finds them. What stands behind
# "solr." is looked for in some of Solr's packages only, so not each can be written without its own.
MODULES: Mapping[str, tuple[str, ...]] = {
    "analysis-extras": (
        "solr.ICUTokenizerFactory",
        "solr.ICUFoldingFilterFactory",
        "solr.ICUNormalizer2FilterFactory",
        "solr.ICUTransformFilterFactory",
        "solr.ICUNormalizer2CharFilterFactory",
        "solr.ICUCollationField",
        "solr.HMMChineseTokenizerFactory",
        "solr.StempelPolishStemFilterFactory",
        "solr.MorfologikFilterFactory",
        "solr.OpenNLPTokenizerFactory",
        "solr.OpenNLPPOSFilterFactory",
        "solr.OpenNLPChunkerFilterFactory",
        "solr.OpenNLPLemmatizerFilterFactory",
        "solr.OpenNLPExtractNamedEntitiesUpdateProcessorFactory",
    ),
    "clustering": ("solr.clustering.ClusteringComponent",),
    "extraction": ("solr.extraction.ExtractingRequestHandler", "solr.extraction.XLSXResponseWriter"),
    "hdfs": ("solr.HdfsDirectoryFactory", "solr.HdfsUpdateLog"),
    "langid": (
        "solr.LangDetectLanguageIdentifierUpdateProcessorFactory",
        "solr.OpenNLPLangDetectUpdateProcessorFactory",
        "solr.TikaLanguageIdentifierUpdateProcessorFactory",
    ),
    "ltr": (
        "solr.ltr.search.LTRQParserPlugin",
        "solr.ltr.response.transform.LTRFeatureLoggerTransformerFactory",
        "solr.ltr.response.transform.LTRInterleavingTransformerFactory",
    ),
    "scripting": (
        "solr.scripting.update.ScriptUpdateProcessorFactory",
        "solr.scripting.xslt.XSLTResponseWriter",
        "solr.scripting.xslt.XSLTUpdateRequestHandler",
    ),
    "sql": ("solr.SQLHandler",),
}

# What the Solr that haybale builds from packages has of the modules (images/bases/solr/modules): scripting,
# and Lucene's part of analysis-extras, but not what Solr itself adds to that.
PACKAGED = frozenset({"analysis-extras", "scripting"})
NOT_PACKAGED = frozenset({"solr.ICUCollationField", "solr.OpenNLPExtractNamedEntitiesUpdateProcessorFactory"})

# Classes of modules that had another name before Solr 9.
RENAMED = {"StatelessScriptUpdateProcessorFactory": "ScriptUpdateProcessorFactory"}

# Classes that Solr had and Solr 9 has not, with what is to be written in their place.
REMOVED: Mapping[str, str | None] = {
    "LatLonType": "LatLonPointSpatialField",
    "GeoHashField": "LatLonPointSpatialField",
    "DateField": "DatePointField",
    "ByteField": "IntPointField",
    "ShortField": "IntPointField",
    "BCDIntField": "IntPointField",
    "SortableIntField": "IntPointField",
    "SortableLongField": "LongPointField",
    "SortableFloatField": "FloatPointField",
    "SortableDoubleField": "DoublePointField",
    "FastLRUCache": "CaffeineCache",
    "LFUCache": "CaffeineCache",
    "AnalysisRequestHandler": "FieldAnalysisRequestHandler",
    "DisMaxRequestHandler": "SearchHandler",
    "JsonUpdateRequestHandler": "UpdateRequestHandler",
    "CSVRequestHandler": "UpdateRequestHandler",
    "XmlUpdateRequestHandler": "UpdateRequestHandler",
    "BinaryUpdateRequestHandler": "UpdateRequestHandler",
    "ISOLatin1AccentFilterFactory": "ASCIIFoldingFilterFactory",
    "ArabicLetterTokenizerFactory": "StandardTokenizerFactory",
    "ChineseTokenizerFactory": "StandardTokenizerFactory",
    "CJKTokenizerFactory": "StandardTokenizerFactory",
    "RussianLetterTokenizerFactory": "StandardTokenizerFactory",
    "ThaiWordFilterFactory": None,
    "PositionFilterFactory": None,
    "EnglishPorterFilterFactory": "SnowballPorterFilterFactory",
    "SimpleFSDirectoryFactory": "NRTCachingDirectoryFactory",
    "DefaultSimilarityFactory": "ClassicSimilarityFactory",
    "LegacyBM25SimilarityFactory": "BM25SimilarityFactory",
    "AdminHandlers": None,
    "StandardFilterFactory": None,
    "SpellCheckerRequestHandler": None,
    "VelocityResponseWriter": None,
    "DataImportHandler": None,
    "CdcrRequestHandler": None,
}
# Names that Lucene has too, for something else: only Solr's own is meant.
REMOVED_FROM_SOLR: Mapping[str, str] = {
    "solr.LRUCache": "CaffeineCache",
    "solr.search.LRUCache": "CaffeineCache",
    "solr.IntField": "IntPointField",
    "solr.LongField": "LongPointField",
    "solr.FloatField": "FloatPointField",
    "solr.DoubleField": "DoublePointField",
}

# By which names an analysis factory goes without its class: its own, without what kind it is.
FACTORY = re.compile(r"(Tokenizer|CharFilter|TokenFilter|Filter)Factory$")


@dataclass(frozen=True, kw_only=True)
class ModuleClass:
    """A class of a module of Solr's, with the name that Solr 9 finds it by."""

    module: str
    name: str

    @property
    def is_packaged(self) -> bool:
        """Whether the Solr that haybale builds from packages has it."""
        return self.module in PACKAGED and self.name not in NOT_PACKAGED


_BY_NAME = {
    name.rpartition(".")[2]: ModuleClass(module=module, name=name)
    for module, names in MODULES.items()
    for name in names
}
_BY_FACTORY = {
    FACTORY.sub("", name).lower(): found for name, found in _BY_NAME.items() if FACTORY.search(name)
}


def find_module_class(name: str) -> ModuleClass | None:
    """Return the module's class that a configuration means by `name`, None for none.

    `name` is what an attribute `class` has (solr.X, a.b.X), or an analysis factory's `name` (icuFolding).
    """
    short = name.rpartition(".")[2]
    return _BY_NAME.get(RENAMED.get(short, short)) or _BY_FACTORY.get(name.lower())


def is_removed(name: str) -> bool:
    """Return whether Solr had a class of this name (solr.X, a.b.X), and Solr 9 has it no more."""
    return name.rpartition(".")[2] in REMOVED or name in REMOVED_FROM_SOLR


def find_replacement(name: str) -> str | None:
    """Return what to write for a class that `is_removed` (solr.X), None where nothing takes its place."""
    instead = REMOVED.get(name.rpartition(".")[2]) or REMOVED_FROM_SOLR.get(name)
    return f"solr.{instead}" if instead else None
