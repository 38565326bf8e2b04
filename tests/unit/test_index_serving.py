"""What a baked Solr answers: what becomes of a configuration, and of requests."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from haybale.config import IndexSettings
from haybale.errors import VerifyError
from haybale.index import bake
from haybale.index.home import CoreFolder, close_home, serve_core, serving_changes, write_home
from haybale.index.serving import (
    DOCUMENTS,
    IMPLICIT,
    NOT_FOUND,
    PROBES,
    close_core,
    close_solr_xml,
    find_open_probe,
    open_handlers,
    security_json,
)
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNTS = {"a.b": 3}


def closed(*elements: str) -> ET.Element:
    root = ET.fromstring(f"<config>{''.join(elements)}</config>")  # noqa: S314 - our own
    close_core(root, COUNTS)
    return root


def handler(name: str, kind: str, inner: str = "") -> str:
    return f'<requestHandler name="{name}" class="{kind}">{inner}</requestHandler>'


@pytest.mark.parametrize(
    ("kind", "is_open"),
    [
        ("solr.SearchHandler", True),
        ("SearchHandler", True),
        ("${kind:solr.StandardRequestHandler}", True),
        ("org.apache.solr.handler.component.SearchHandler", True),
        ("solr.MoreLikeThisHandler", True),
        ("org.example.SearchHandler", True),
        ("org.example.OwnHandler", True),
        ("solr.UpdateRequestHandler", False),
        ("solr.extraction.ExtractingRequestHandler", False),
        ("solr.RealTimeGetHandler", False),
        ("${kind:solr.ReplicationHandler}", False),
        ("org.apache.solr.handler.StreamHandler", False),
        ("DumpRequestHandler", False),
    ],
)
def test_close_core_keeps_a_handler_that_searches_or_is_the_site_s(kind: str, is_open: bool) -> None:
    assert ("/own" in open_handlers(closed(handler("/own", kind)))) is is_open


def test_close_core_takes_from_every_core_what_it_has_without_being_told() -> None:
    root = closed(handler("/update", "solr.UpdateRequestHandler"), handler("/terms", "solr.SearchHandler"))
    kinds = {each.get("name"): each.get("class") for each in root.findall("requestHandler")}
    assert len(kinds) == len(root.findall("requestHandler")), "none is there twice"
    assert {name for name, kind in kinds.items() if kind == NOT_FOUND} == {*IMPLICIT} - {"/terms"}
    assert open_handlers(root) == ("/admin/ping", DOCUMENTS, "/select", "/terms")


def test_close_core_changes_nothing_the_second_time() -> None:
    root = closed(handler("/select", "solr.SearchHandler"))
    before = ET.tostring(root)
    close_core(root, COUNTS)
    assert sorted(ET.tostring(each) for each in root) == sorted(
        ET.tostring(each)
        for each in ET.fromstring(before)  # noqa: S314 - our own
    )


def test_close_core_lets_no_request_rebuild_what_words_are_looked_up_in() -> None:
    inner = '<lst name="invariants"><str name="suggest.build">true</str><str name="wt">json</str></lst>'
    root = closed(handler("/suggest", "solr.SearchHandler", inner), handler("/own", "org.example.Own"))
    own = root.find("requestHandler[@name='/suggest']/lst[@name='invariants']")
    assert own is not None
    assert {each.get("name"): each.text for each in own} == {
        "wt": "json", "spellcheck.build": "false", "spellcheck.reload": "false", "suggest.build": "false",
        "suggest.buildAll": "false", "suggest.reload": "false", "suggest.reloadAll": "false",
    }  # fmt: skip
    assert root.find("requestHandler[@name='/own']/lst") is None, "what it takes is not known"


@pytest.mark.parametrize(
    ("tag", "name", "elements"),
    [
        ("transformer", "subquery", ()),
        (
            "transformer",
            "subquery",
            ('<transformer name="subquery" class="solr.SubQueryAugmenterFactory"/>',),
        ),
        ("queryParser", "join", ()),
        ("queryParser", "join", ('<queryParser name="join" class="solr.JoinQParserPlugin"/>',)),
    ],
)
def test_close_core_keeps_a_search_in_its_core(tag: str, name: str, elements: tuple[str, ...]) -> None:
    (found,) = closed(*elements).findall(tag)
    assert found.get("name") == name
    assert found.get("class") in {
        "org.apache.solr.response.transform.ValueAugmenterFactory",
        "org.apache.solr.search.join.ScoreJoinQParserPlugin",
    }


def test_close_core_removes_a_subquery_by_another_name() -> None:
    other = '<transformer name="inner" class="org.apache.solr.response.transform.SubQueryAugmenterFactory"/>'
    assert [each.get("name") for each in closed(other).findall("transformer")] == ["subquery"]


def test_close_core_fetches_no_bodies() -> None:
    parsers = (
        '<requestParsers enableRemoteStreaming="true" enableStreamBody="true" formdataUploadLimitInKB="9"/>'
    )
    found = closed(f"<requestDispatcher>{parsers}</requestDispatcher>").find(
        "requestDispatcher/requestParsers"
    )
    assert found is not None
    assert found.attrib == {"formdataUploadLimitInKB": "9"}


def test_close_solr_xml_leaves_no_host_or_folder_to_requests() -> None:
    text = """<solr><str name="allowPaths">*</str><str name="allowUrls">other:8983</str>
      <int name="maxBooleanClauses">9</int>
      <shardHandlerFactory name="s"><str name="shardsWhitelist">other</str></shardHandlerFactory></solr>"""
    root = ET.fromstring(text)  # noqa: S314 - our own
    changes = close_solr_xml(root)
    assert [each.partition(" ")[0] for each in changes] == ["allowPaths", "allowUrls", "shardsWhitelist"]
    assert [each.get("name") for each in root.iter() if each.get("name")] == ["maxBooleanClauses", "s"]
    assert close_solr_xml(root) == []


def test_security_json_lets_everybody_search_and_nobody_do_more() -> None:
    permissions = json.loads(security_json(["/mlt", "/select"]))["authorization"]["permissions"]
    assert [each["role"] for each in permissions] == [None, None, "nobody"]
    assert permissions[0]["path"] == ["/mlt", "/mlt/", "/select", "/select/"]
    assert permissions[-1] == {"name": "all", "role": "nobody"}, "the last one: the first that fits decides"


CONFIG = '<config><schemaFactory class="ClassicIndexSchemaFactory"/>{}</config>'


def test_close_home_answers_what_one_of_its_cores_does(tmp_path: Path) -> None:
    cores = {}
    for name, found in (("de", handler("/suche", "solr.SearchHandler")), ("en", "")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "solrconfig.xml").write_text(CONFIG.format(found), encoding="utf-8")
        cores[name] = CoreFolder(folder=folder, label=name)
    home = tmp_path / "home"
    write_home(home, cores)
    (home / "solr.xml").write_text('<solr><str name="allowUrls">other:8983</str></solr>', encoding="utf-8")
    for name, place in cores.items():
        serve_core(home / name, place, tmp_path / "made", COUNTS)
    close_home(home, cores)
    permissions = json.loads((home / "security.json").read_text())["authorization"]["permissions"]
    assert permissions[0]["path"][::2] == ["/admin/ping", DOCUMENTS, "/select", "/suche"]
    assert b"allowUrls" not in (home / "solr.xml").read_bytes()
    assert '{"a.b": 3}' in (home / "de/conf/solrconfig.xml").read_text()


def test_serving_changes_name_what_a_closed_core_answers(tmp_path: Path) -> None:
    single = '<indexConfig><lockType>single</lockType></indexConfig><updateHandler class="x"/>'
    text = CONFIG.format(single + handler("/mlt", "solr.MoreLikeThisHandler"))
    (tmp_path / "solrconfig.xml").write_text(text, encoding="utf-8")
    place = CoreFolder(folder=tmp_path, label="solr")
    assert serving_changes([place], is_closed=IndexSettings(serve="open").is_closed) == ()
    (change,) = serving_changes([place], is_closed=IndexSettings().is_closed)
    handlers = "/admin/ping, /haybale/documents, /mlt, /select"
    assert change.startswith(f"solr/solrconfig.xml: only searches are answered ({handlers}), all else")


class Server(Solr):
    """A core's server that answers with the same status, but for one path."""

    def __init__(self, status: int, path: str = "", other: int = 0) -> None:
        super().__init__("http://127.0.0.1:9", "hay")
        self.status, self.path, self.other = status, path, other
        self.asked: list[tuple[str, Any, str | None]] = []

    def request(self, path: str, parameters: Any, body: str | None = None) -> int:
        self.asked.append((path, parameters, body))
        return self.other if path == self.path else self.status


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_find_open_probe_finds_none_where_all_are_refused(status: int) -> None:
    server = Server(status)
    assert find_open_probe(server) is None
    assert len(server.asked) == len(PROBES)


@pytest.mark.parametrize("status", [200, 302, 500, 503])
def test_find_open_probe_takes_nothing_else_for_a_refusal(status: int) -> None:
    for probe in PROBES:
        found = find_open_probe(Server(401, probe.path.format(core="hay"), status))
        assert found is not None
        assert found.path == probe.path


class Baked(Server):
    """A baked image's Solr, with all its documents, that answers one thing."""

    def __init__(self, url: str, core: str) -> None:
        super().__init__(401, f"/{core}/schema", 200)
        assert (url, core) == ("http://127.0.0.1:9", self.core)

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None:
        assert timeout > 0
        assert callable(is_alive)

    def counts(self) -> dict[str, int]:
        return COUNTS


def test_verify_image_refuses_one_that_is_to_be_closed_and_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "started_container", lambda *_, **__: contextlib.nullcontext("container"))
    monkeypatch.setattr(sdk, "published_address", lambda *_: "127.0.0.1:9")
    monkeypatch.setattr(bake, "Solr", Baked)
    bake.verify_image("image", {"hay": COUNTS}, {}, is_closed=False)
    with pytest.raises(VerifyError, match="answers /hay/schema: the schema can be read"):
        bake.verify_image("image", {"hay": COUNTS}, {}, is_closed=True)
