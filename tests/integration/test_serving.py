"""The baked image as it is deployed: read-only, with configurations that Solr cannot serve so as they are."""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import requests

from haybale.checkout import Checkout
from haybale.config import ImageSettings, Project, Settings
from haybale.errors import VerifyError
from haybale.image_ref import ImageRef
from haybale.images.build import build_solr_image
from haybale.index import bake
from haybale.index.home import CoreFolder, serve_core, tune_home, write_home
from haybale.index.solrconfig import SOLRCONFIG
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr
from haybale.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]
LABELS = {"io.haybale.test": RUN}

DOCUMENTS = 3

FACTORY = '<schemaFactory class="ClassicIndexSchemaFactory"/>'
LOCK = "<lockType>${solr.lock.type:single}</lockType>"
HANDLER = '<updateHandler class="solr.DirectUpdateHandler2">'
UPDATE_LOG = f'{HANDLER}<updateLog><str name="dir">${{solr.ulog.dir:}}</str></updateLog>'
DATA = "<dataDir>${solr.data.dir:}</dataDir>"

# What is replaced in the reference site's solrconfig.xml: each is a core.
CHANGES: Mapping[str, Mapping[str, str]] = {
    "as-it-is": {},
    "no-factory": {FACTORY: ""},
    "own-managed-schema": {FACTORY: ""},
    "native": {LOCK: "<lockType>native</lockType>"},
    "no-lock": {LOCK: ""},
    "update-log": {HANDLER: UPDATE_LOG},
    "all": {FACTORY: "", LOCK: "<lockType>${solr.lock.type:native}</lockType>", HANDLER: UPDATE_LOG},
    "elsewhere": {DATA: "<dataDir>/var/solr/elsewhere</dataDir>"},
    "in-memory": {"solr.NRTCachingDirectoryFactory": "solr.RAMDirectoryFactory"},
    "suggester": {
        "</config>": '<searchComponent name="suggest" class="solr.SuggestComponent"><lst name="suggester">'
        '<str name="name">words</str><str name="lookupImpl">AnalyzingInfixLookupFactory</str>'
        '<str name="dictionaryImpl">DocumentDictionaryFactory</str><str name="field">text</str>'
        '<str name="suggestAnalyzerFieldType">text_spelling</str></lst></searchComponent>'
        '<requestHandler name="/suggest" class="solr.SearchHandler"><lst name="defaults">'
        '<str name="suggest">true</str><str name="suggest.dictionary">words</str></lst>'
        '<arr name="components"><str>suggest</str></arr></requestHandler></config>'
    },
    "managed-words": {},
    "outdated": {
        FACTORY: "",
        "</config>": '<queryResponseWriter name="xslt" class="solr.XSLTResponseWriter"/>'
        '<requestHandler name="/admin/ping" class="solr.PingRequestHandler">'
        '<lst name="invariants"><str name="q">word</str></lst></requestHandler></config>',
    },
}  # fmt: skip

# An update log needs the field; managed stop words are of a type of their own.
VERSION = (
    '<fieldType name="plong" class="solr.LongPointField" docValues="true"/>'
    '<field name="_version_" type="plong" indexed="false" stored="false" docValues="true"/></schema>'
)
MANAGED = (
    '<fieldType name="managed" class="solr.TextField"><analyzer>'
    '<tokenizer class="solr.StandardTokenizerFactory"/>'
    '<filter class="solr.ManagedStopFilterFactory" managed="english"/></analyzer></fieldType></schema>'
)
OUTDATED = (
    '<fieldType name="place" class="solr.LatLonType" subFieldSuffix="_coordinate"/>'
    "<defaultSearchField>text</defaultSearchField></schema>"
)
STOP_WORDS = (
    '{"initArgs": {"ignoreCase": true}, "initializedOn": "2020-01-01T00:00:00.000Z",'
    ' "managedList": ["nonsense"]}'
)


def configuration(root: Path, folder: Path, core: str) -> Path:
    """Make the core's variant of the reference site's configuration."""
    conf = folder / core
    shutil.copytree(root / "solr_conf", conf)
    text = (conf / SOLRCONFIG).read_text(encoding="utf-8")
    for old, new in CHANGES[core].items():
        assert old in text
        text = text.replace(old, new)
    (conf / SOLRCONFIG).write_text(text, encoding="utf-8")
    schema = (conf / "schema.xml").read_text(encoding="utf-8")
    if core in {"update-log", "all"}:
        (conf / "schema.xml").write_text(schema.replace("</schema>", VERSION), encoding="utf-8")
    if core == "outdated":
        (conf / "schema.xml").write_text(schema.replace("</schema>", OUTDATED), encoding="utf-8")
    if core == "managed-words":
        (conf / "schema.xml").write_text(schema.replace("</schema>", MANAGED), encoding="utf-8")
        (conf / "_schema_analysis_stopwords_english.json").write_text(STOP_WORDS, encoding="utf-8")
    if core == "own-managed-schema":
        (conf / "schema.xml").rename(conf / "managed-schema")
    return conf


def ask(url: str, path: str, **parameters: str) -> Any:
    answer = requests.get(f"{url}/solr/{path}", params=parameters, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


@pytest.fixture
def checkout(root: Path, solr_image: str) -> Checkout:
    name = f"haybale-test-{RUN}-{secrets.token_hex(4)}"
    settings = Settings(name=name, registry=name, core="none", images=ImageSettings(solr=solr_image))
    version = Version(major=1, minor=2, patch=3)
    return Checkout(project=Project(root=root, settings=settings), env=os.environ, version=version, head=None)


@pytest.fixture
def image(checkout: Checkout) -> Iterator[ImageRef]:
    name = ImageRef.parse(f"{checkout.settings.name}:latest")
    yield name
    sdk.remove_image(name)


def test_verify_image_accepts_every_configuration_as_it_is_served(
    root: Path, checkout: Checkout, image: ImageRef, tmp_path: Path
) -> None:
    folders = {core: configuration(root, tmp_path / "conf", core) for core in CHANGES}
    cores = {core: CoreFolder(folder=conf, label=core) for core, conf in folders.items()}
    before = {file: file.read_bytes() for conf in folders.values() for file in conf.iterdir()}
    home, indexing = tmp_path / "home", tmp_path / "indexing"
    write_home(indexing, cores)
    tune_home(indexing, cores, "512m")
    build_solr_image(checkout, image, indexing, LABELS, print, core="none")
    write_home(home, cores)
    with sdk.started_container(image, labels=LABELS, port=8983) as container:
        url = f"http://{sdk.published_address(container, 8983)}"
        for core in cores:
            server = Solr(url, core)
            server.wait_ready(120, lambda: sdk.is_container_running(container))
            documents = [
                {"id": f"{number}", "django_ct": "a.b", "django_id": f"{number}", "text": f"word{number}"}
                for number in range(DOCUMENTS)
            ]
            update = f"{url}/solr/{core}/update?commit=true"
            requests.post(update, json=documents, timeout=60).raise_for_status()
            server.optimize()
        bake.stop_solr(container)
        for core, conf in cores.items():
            assert bake.copy_index(container, core, home / core / "data")
            made = tmp_path / "made" / core
            bake.copy_configuration(container, core, made)
            serve_core(home / core, conf, made)
    build_solr_image(checkout, image, home, LABELS, print, core="none")
    bake.verify_image(str(image), {core: {"a.b": DOCUMENTS} for core in cores}, LABELS)
    with sdk.started_container(
        image, labels=LABELS, port=8983, user=bake.USER, written=bake.WRITTEN
    ) as container:
        url = f"http://{sdk.published_address(container, 8983)}"
        for core in ("suggester", "managed-words"):
            Solr(url, core).wait_ready(120, lambda: sdk.is_container_running(container))
        suggested = ask(url, "suggester/suggest", **{"suggest.q": "wor"})["suggest"]["words"]["wor"]
        assert suggested["numFound"] > 0
        analyzed = ask(
            url, "managed-words/analysis/field",
            **{"analysis.fieldtype": "managed", "analysis.fieldvalue": "a nonsense b"},
        )["analysis"]["field_types"]["managed"]["index"]  # fmt: skip
        assert [word["text"] for word in analyzed[-1]] == ["a", "b"]
    assert {file: file.read_bytes() for conf in folders.values() for file in conf.iterdir()} == before
    # The proof can fail: the site's own configuration is not served so.
    own = tmp_path / "own"
    write_home(own, {"native": cores["native"]})
    shutil.copytree(home / "native/data", own / "native/data")
    build_solr_image(checkout, image, own, LABELS, print, core="none")
    with pytest.raises(VerifyError, match=r"does not serve the core native: .*write\.lock") as refused:
        bake.verify_image(str(image), {"native": {"a.b": DOCUMENTS}}, LABELS)
    assert "read-only" in refused.value.cause
