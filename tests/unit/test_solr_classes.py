"""The classes that Solr 9 has not, or only in a module."""

from __future__ import annotations

import pytest

from haybale.index.solr_classes import find_module_class, find_replacement, is_removed


@pytest.mark.parametrize(
    ("name", "module", "solr_name"),
    [
        ("solr.ICUFoldingFilterFactory", "analysis-extras", "solr.ICUFoldingFilterFactory"),
        ("org.apache.lucene.analysis.icu.ICUFoldingFilterFactory", "analysis-extras", None),
        ("icuFolding", "analysis-extras", "solr.ICUFoldingFilterFactory"),
        ("icu", "analysis-extras", "solr.ICUTokenizerFactory"),
        ("openNlpPOS", "analysis-extras", "solr.OpenNLPPOSFilterFactory"),
        ("solr.XSLTResponseWriter", "scripting", "solr.scripting.xslt.XSLTResponseWriter"),
        (
            "solr.StatelessScriptUpdateProcessorFactory",
            "scripting",
            "solr.scripting.update.ScriptUpdateProcessorFactory",
        ),
        ("org.apache.solr.ltr.search.LTRQParserPlugin", "ltr", None),
    ],
)
def test_find_module_class_by_any_of_its_names(name: str, module: str, solr_name: str | None) -> None:
    found = find_module_class(name)
    assert found
    assert found.module == module
    assert solr_name in {None, found.name}


@pytest.mark.parametrize(
    "name", ["", "solr.StrField", "standard", "icufolding2", "com.example.OurFilterFactory"]
)
def test_find_module_class_knows_no_other(name: str) -> None:
    assert find_module_class(name) is None


def test_find_replacement_of_solr_s_own_and_not_of_lucene_s_namesake() -> None:
    assert is_removed("solr.IntField")
    assert find_replacement("solr.IntField") == "solr.IntPointField"
    assert not is_removed("org.apache.lucene.document.IntField")
    assert is_removed("org.apache.solr.handler.dataimport.DataImportHandler")
    assert find_replacement("org.apache.solr.handler.dataimport.DataImportHandler") is None
