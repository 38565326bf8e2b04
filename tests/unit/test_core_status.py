"""Why a core fails, out of what a real Solr said.

data/solr_failures.jsonl has a line for each way to spoil the reference site's solr_conf: in `file`, `new`
stands for the first `old` (null: there is no such file). `status` and `trace` are the answers of Solr 9.10.1
to /solr/admin/cores?action=STATUS (initFailures) and to the core's ping (error.trace), with one frame of each
exception. tests/integration/test_broken_cores.py asks a real one the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from haybale.index.core_status import explain_failure, explain_trace
from haybale.tools.solr import CoreFailedError

CONF = Path(__file__).parents[2] / "solr_conf"
TABLE = Path(__file__).with_name("data") / "solr_failures.jsonl"
FAILURES: dict[str, Any] = {
    each["core"]: each for each in map(json.loads, TABLE.read_text(encoding="utf-8").splitlines())
}
SLIM = "solr:9.10.1-slim"


def spoiled(failure: dict[str, Any]) -> dict[str, str]:
    """The texts of the configuration that failed so."""
    texts = {
        f"conf/{name}": (CONF / name).read_text(encoding="utf-8") for name in ("schema.xml", "solrconfig.xml")
    }
    text = texts.pop(f"conf/{failure['file']}")
    if failure["old"] is not None:
        texts[f"conf/{failure['file']}"] = text.replace(failure["old"], failure["new"], 1)
    return texts


# What is wrong, the cause, and what to do.
EXPECTED = {
    "icu": (
        "conf/schema.xml:78: there is no class solr.ICUFoldingFilterFactory",
        "it belongs to Solr's module analysis-extras, which solr:9.10.1-slim lacks",
        'images.solr = "solr:9.10.1", with SOLR_MODULES=analysis-extras',
    ),
    "icuspi": (
        "conf/schema.xml:78: there is no class icu",
        "module analysis-extras",
        "SOLR_MODULES=analysis-extras",
    ),
    "xslt": (
        "conf/solrconfig.xml:116: there is no class solr.XSLTResponseWriter",
        "module scripting",
        'write class="solr.scripting.xslt.XSLTResponseWriter"',
    ),
    "latlon": (
        "conf/schema.xml:78: there is no class solr.LatLonType",
        "Solr 9 has it no more",
        'write class="solr.LatLonPointSpatialField"',
    ),
    "dih": ("no class org.apache.solr.handler.dataimport.DataImportHandler", "no more", "remove the element"),
    "own": (
        "conf/schema.xml:78: there is no class com.example.solr.OurFilterFactory",
        "a jar of the site's",
        "COPY",
    ),
    "badxml": (
        'conf/schema.xml:78: The element type "types" must be',
        "no well-formed XML",
        "correct that line",
    ),
    "badconfig": (
        'conf/solrconfig.xml:116: The element type "query" must be',
        "no well-formed XML",
        "that line",
    ),
    "stop": (
        "conf/schema.xml:16: there is no file lang/stopwords_en.txt",
        "neither the core's folder conf nor Solr itself",
        "`solr_conf`",
    ),
    "elevate": (
        "conf/solrconfig.xml:116: there is no file elevate.xml",
        "folder conf",
        "remove what names it",
    ),
    "currency": ("conf/schema.xml:78: there is no file currency.xml", "folder conf", "remove what names it"),
    "noconfig": ("there is no file solrconfig.xml", "folder conf", "`solr_conf`"),
    "noschema": ("there is no file schema.xml", "folder conf", "`solr_conf`"),
    "nofieldtype": (
        "conf/schema.xml:66: Unknown fieldType 'number' specified on field year",
        "",
        "`solr_conf`",
    ),
    "checkinteger": ("conf/solrconfig.xml:60: Value of 'rows' can not be parsed as 'int': \"ten\"", "", ""),
    "unknownattr": ("conf/schema.xml:46: Invalid field property: requird", "", ""),
    "badfilterarg": (
        "conf/schema.xml:16: Unknown parameters: {enablePositionIncrements=true}",
        'fieldType "text_en"',
        "remove the attribute enablePositionIncrements",
    ),
    "property": (
        "conf/solrconfig.xml:8: No system property or default value specified for our.data.dir",
        "",
        "write ${our.data.dir:DEFAULT} there",
    ),
    "nomatchversion": ("Missing: luceneMatchVersion", "", "add <luceneMatchVersion>"),
    "ulog": ("_version_ field must exist in schema", "Unable to use updateLog", "or remove <updateLog>"),
    "operator": ("conf/schema.xml:78: Setting default operator in schema", "", "q.op"),
    "defaultsearch": ("conf/schema.xml:78: Setting defaultSearchField in schema", "", "the default df"),
    "badping": ("undefined field nofield", "", ""),
}


@pytest.mark.parametrize("core", EXPECTED)
def test_explain_trace_tells_the_root_cause_and_where_it_is(core: str) -> None:
    failure, (what, cause, hint) = FAILURES[core], EXPECTED[core]
    found = explain_trace(failure["trace"], image=SLIM, files=spoiled(failure))
    assert what in found.what
    assert cause in found.cause
    assert hint in found.hint


@pytest.mark.parametrize("core", FAILURES)
def test_explain_trace_repeats_none_of_what_wraps_the_cause(core: str) -> None:
    found = explain_trace(FAILURES[core]["trace"], image=SLIM, files={})
    assert found.what
    assert found.cause
    assert found.hint
    for wrapping in (
        "Could not load conf",
        "Can't load schema",
        "not available due to init failure",
        "\n",
        "Exception",
    ):
        assert wrapping not in found.what + found.cause


@pytest.mark.parametrize("core", ["icu", "latlon", "nofieldtype", "xslt", "elevate"])
def test_explain_trace_without_the_configuration_at_hand_says_no_line(core: str) -> None:
    found = explain_trace(FAILURES[core]["trace"], image=None, files={})
    assert "xml:" not in found.what


def test_explain_trace_of_the_outermost_message_alone() -> None:
    """As the status has it, and a Solr that shows no traces."""
    found = explain_trace(FAILURES["icu"]["status"], image=None, files={})
    assert found.what == 'schema.xml, fieldType "x": there is no class solr.ICUFoldingFilterFactory'
    assert "SOLR_MODULES=analysis-extras" in found.hint
    assert 'images.solr = "solr:9"' in found.hint


def test_explain_trace_names_the_image_that_lacks_a_module_only_where_it_is_slim() -> None:
    found = explain_trace(FAILURES["icu"]["trace"], image="our/solr:9.10.1", files={})
    assert "analysis-extras, which is not loaded" in found.cause
    assert 'images.solr = "our/solr:9.10.1"' in found.hint


@pytest.mark.parametrize(
    ("core", "is_packaged"), [("icu", True), ("xslt", True), ("icufield", False), ("nrt", False)]
)
def test_explain_trace_says_where_an_image_from_packages_has_not_all_of_a_module(
    core: str, is_packaged: bool
) -> None:
    found = explain_trace(FAILURES[core]["trace"], image=SLIM, files={})
    assert ("builds from packages has it not" in found.hint) != is_packaged


def test_explain_trace_of_a_class_that_solr_never_had() -> None:
    found = explain_trace(
        "x: Error loading class 'solr.StrFeld'", image=SLIM, files={"schema.xml": "\nsolr.StrFeld"}
    )
    assert found.what == "schema.xml:2: there is no class solr.StrFeld"
    assert "correct the name" in found.hint


def test_explain_failure_says_which_core_and_whether_it_was_loaded() -> None:
    closed = CoreFailedError("hay", FAILURES["latlon"]["trace"], is_loaded=False)
    told = explain_failure(closed, image=SLIM, files={})
    assert told.message.startswith("Solr's core hay cannot be opened: ")
    loaded = CoreFailedError("hay", FAILURES["badping"]["trace"], is_loaded=True)
    assert explain_failure(loaded, image=SLIM, files={}).message == (
        "Solr's core hay fails its ping: undefined field nofield"
    )
