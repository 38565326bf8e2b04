"""What a baked Solr answers: the site's searches, how many documents there should be, and nothing else.

Two layers, each in files that every Solr image reads (docs/adr/0028). Solr's own authorization
(security.json) lets through the paths of the handlers that search, and asks for a login that nobody has for
all others. Behind that, a request can have another handler of its core called, by name; so a core has none
that does more than search.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.index.solrconfig import PING, resolve, set_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from haybale.tools.solr import Solr

SECURITY = "security.json"

SELECT = "/select"
# Tells how many documents there are, and with how many the image was baked.
DOCUMENTS = "/haybale/documents"
# In that one's answer: those of each model when the index was baked, as JSON.
EXPECTED = "expected"

# Tells that Solr answers, of the server as a whole: what asks for an image's health needs no core's name.
HEALTH = "/admin/info/health"

# Solr's own handlers that only search. Of a handler with a class of the site's the site knows what it does.
SEARCHING = frozenset(
    {"SearchHandler", "StandardRequestHandler", "MoreLikeThisHandler", "PingRequestHandler"}
)
SOLR_PACKAGES = ("solr.", "org.apache.solr.")
NOT_FOUND = "solr.NotFoundRequestHandler"

# A query within a search, for each document found (SubQueryAugmenterFactory). It names its handler, also one
# of the whole server such as /admin/cores, and no authorization is asked. A `value` without one is refused.
SUBQUERY = "SubQueryAugmenterFactory"
NO_SUBQUERY = "org.apache.solr.response.transform.ValueAugmenterFactory"

# A join may name another Solr and its ZooKeeper (method=crossCollection); that of scores joins cores alone.
JOIN, LOCAL_JOIN = "JoinQParserPlugin", "org.apache.solr.search.join.ScoreJoinQParserPlugin"

# Parameters with which a search has what it looks words up in made again: where nothing can be written, that
# fails, and leaves nothing to look them up in.
REBUILDING = (
    "spellcheck.build", "spellcheck.reload", "suggest.build", "suggest.buildAll", "suggest.reload",
    "suggest.reloadAll",
)  # fmt: skip

# The handlers that every core has without being told (ImplicitPlugins.json of Solr 8, 9 and 10).
IMPLICIT = (
    "/admin/file", "/admin/info", "/admin/logging", "/admin/luke", "/admin/mbeans", "/admin/plugins",
    "/admin/properties", "/admin/segments", "/admin/system", "/admin/threads", "/analysis/document",
    "/analysis/field", "/config", "/debug/dump", "/export", "/get", "/graph", "/replication", "/schema",
    "/sql", "/stream", "/tasks/cancel", "/tasks/list", "/terms", "/update", "/update/cbor", "/update/csv",
    "/update/json", "/update/json/docs", "update",
)  # fmt: skip

# What solr.xml says of other hosts and folders that requests may name ("Configuring solr.xml").
OUTSIDE = ("allowPaths", "allowUrls", "shardsWhitelist")

# For the JVM (SOLR_OPTS): no configuration is changed over HTTP, no second set of paths leads to the same
# things, and no parameter names a body that Solr is to fetch.
JVM_OPTIONS = (
    "-Ddisable.configEdit=true",
    "-Ddisable.v2.api=true",
    "-Dsolr.enableRemoteStreaming=false",
    "-Dsolr.enableStreamBody=false",
)

# A role that nobody has, as there are no users.
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A request that a baked Solr refuses: its path (behind /solr), with {core} in it, and what it `opens`.

    With a `body` (JSON) it is a POST.
    """

    path: str
    opens: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


# What a refused request is answered with: bad, no login, forbidden, not there.
REFUSALS = (400, 401, 403, 404)

# None changes anything where it is answered. The port is the discard port: nothing listens there.
PROBES = (
    Probe(path="/{core}/update", body='{"commit": {}}', opens="documents can be changed and deleted"),
    Probe(path="/admin/cores", opens="cores can be listed and unloaded"),
    Probe(path="/{core}/config", opens="the configuration can be read"),
    Probe(path="/{core}/schema", opens="the schema can be read"),
    Probe(path="/{core}/replication", parameters={"command": "details"}, opens="an index can be fetched"),
    Probe(
        path=f"/{{core}}{SELECT}",
        parameters={"q": "*:*", "rows": "1", "fl": "other:[subquery]", "other.qt": "/schema"},
        opens="a search reaches every handler of the core",
    ),
    Probe(
        path=f"/{{core}}{SELECT}",
        parameters={"q": "*:*", "shards": "127.0.0.1:9/solr/core", "shards.tolerant": "true"},
        opens="a search can be sent on to any host (allowUrls in solr.xml)",
    ),
)


def close_core(root: ET.Element, counts: Mapping[str, int]) -> str:
    """Leave a core (its solrconfig.xml, which is changed) the handlers that search; return what was done.

    `counts` are the documents of each model that the core was baked with.
    """
    for each in root.findall("requestHandler"):
        if not _searches(each) or each.get("name") == DOCUMENTS:
            root.remove(each)
    for parsers in root.findall("requestDispatcher/requestParsers"):
        for option in ("enableRemoteStreaming", "enableStreamBody"):
            parsers.attrib.pop(option, None)
    for handler in root.findall("requestHandler"):
        if _class_name(handler) in SEARCHING:
            for name in REBUILDING:
                set_option(_invariants(handler), name, "false")
    kept = {each.get("name") for each in root.findall("requestHandler")}
    for name in IMPLICIT:
        if name not in kept:
            ET.SubElement(root, "requestHandler", {"name": name, "class": NOT_FOUND})
    _replace(root, "transformer", "subquery", SUBQUERY, NO_SUBQUERY)
    _replace(root, "queryParser", "join", JOIN, LOCAL_JOIN)
    _tell_documents(root, counts)
    return f"only searches are answered ({', '.join(open_handlers(root))}), all else is refused (index.serve)"


def _searches(handler: ET.Element) -> bool:
    """Return whether a handler does no more than search, as far as its class says."""
    kind = resolve(handler.get("class"))
    is_solr_s = kind.startswith(SOLR_PACKAGES) or "." not in kind
    return not is_solr_s or _class_name(handler) in SEARCHING


def _class_name(element: ET.Element) -> str:
    """Return the name of an element's class without its package."""
    return resolve(element.get("class")).rpartition(".")[2]


def _invariants(handler: ET.Element) -> ET.Element:
    """Return what a handler's requests cannot set; it is added where there is nothing."""
    found = handler.find("lst[@name='invariants']")
    return ET.SubElement(handler, "lst", {"name": "invariants"}) if found is None else found


def _replace(root: ET.Element, tag: str, name: str, kind: str, other: str) -> None:
    """Have whatever is a plugin of Solr's class `kind`, by default that of a name, be of another class."""
    for each in root.findall(tag):
        if _class_name(each) == kind or each.get("name") == name:
            root.remove(each)
    ET.SubElement(root, tag, {"name": name, "class": other})


def _tell_documents(root: ET.Element, counts: Mapping[str, int]) -> None:
    handler = ET.SubElement(root, "requestHandler", {"name": DOCUMENTS, "class": "solr.SearchHandler"})
    invariants = _invariants(handler)
    answer = {
        "q": "*:*", "rows": "0", "facet": "true", "facet.field": "django_ct", "facet.limit": "-1",
        "facet.mincount": "1", "facet.missing": "true", "echoParams": "all", EXPECTED: json.dumps(counts),
    }  # fmt: skip
    for name, value in answer.items():
        set_option(invariants, name, value)
    components = ET.SubElement(handler, "arr", {"name": "components"})
    for name in ("query", "facet"):
        ET.SubElement(components, "str").text = name


def close_solr_xml(root: ET.Element) -> list[str]:
    """Drop from a solr.xml (which is changed) where requests may lead; return what was done, in sentences."""
    changes = []
    for parent in [root, *root.findall("shardHandlerFactory")]:
        for each in list(parent):
            if each.get("name") in OUTSIDE:
                parent.remove(each)
                changes.append(f"{each.get('name')} is left out: a search stays in its core (index.serve)")
    return changes


def open_handlers(root: ET.Element) -> tuple[str, ...]:
    """Return the paths that a closed core answers."""
    named = {
        each.get("name", "")
        for each in root.findall("requestHandler")
        if resolve(each.get("class")) != NOT_FOUND
    }
    # Names without a slash are asked for by /select, as the parameter qt.
    return tuple(sorted({SELECT, PING, *(name for name in named if name.startswith("/"))}))


def security_json(handlers: Iterable[str]) -> str:
    """Return Solr's security.json with which a server answers these handlers of its cores, and its health.

    As Solr has it ("Rule-Based Authorization Plugin"): the first permission that fits decides; one without a
    role is everybody's. Which core is asked cannot be told apart without a cloud. Solr compares a path as it
    is sent, and pysolr sends a slash behind it.
    """
    paths = [path for name in handlers for path in (name, f"{name}/")]
    permissions = [
        {"name": "searches", "collection": "*", "path": paths, "role": None},
        {"name": "answers", "collection": None, "path": HEALTH, "role": None},
        {"name": "all", "role": NOBODY},
    ]
    authorization = {"class": "solr.RuleBasedAuthorizationPlugin", "permissions": permissions}
    return f"{json.dumps({'authorization': authorization}, indent=1)}\n"


def find_open_probe(server: Solr) -> Probe | None:
    """Return a request that a core's server answers and should not; None where it refuses all of them.

    Raises `ServiceError` where it does not answer at all.
    """
    for probe in PROBES:
        path = probe.path.format(core=server.core)
        if server.request(path, probe.parameters, probe.body) not in REFUSALS:
            return probe
    return None
