"""Addresses that a site has written in lead to haybale's services."""

from __future__ import annotations

import re

import pytest
import yaml

from haybale.addresses import ADDRESS, OWN_NAMES, find_conflicts, plan_routes
from haybale.images.stack import DATABASE_FILE, FILES, SERVICES


@pytest.mark.parametrize(
    "address",
    ["db", "solr_1", "search.example.org:80", "localhost", "127.0.0.1", "127.0.0.1:8080", "0.0.0.0:1"],
)
def test_address_is_a_host_with_or_without_a_port(address: str) -> None:
    assert re.fullmatch(ADDRESS, address)


@pytest.mark.parametrize(
    "address", ["", "10.0.0.1", "192.168.1.5:8983", "http://db", "db:", "db:x", "a b", "db/x", "user@db"]
)
def test_address_is_nothing_that_a_container_cannot_have(address: str) -> None:
    assert not re.fullmatch(ADDRESS, address)


def test_plan_routes_gives_services_their_names() -> None:
    routes = plan_routes({"DB": "database", "db2:5432": "database", "solr": "solr", "search": "solr"})
    assert routes.names == {"database": ("db", "db2"), "solr": ("search",)}
    assert (routes.own, routes.forwarded) == ((), {})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.1.1", "0.0.0.0"])  # noqa: S104 - no server
def test_plan_routes_passes_on_what_comes_to_the_container_itself(host: str) -> None:
    routes = plan_routes({host: "solr", f"{host}:6432": "database"})
    assert routes.forwarded == {8983: "solr", 6432: "database"}
    assert (routes.names, routes.own) == ({"database": (), "solr": ()}, ())


def test_plan_routes_passes_on_what_comes_to_another_port() -> None:
    routes = plan_routes({"search:8080": "solr", "search": "solr"})
    assert (routes.own, routes.forwarded) == (("search",), {8080: "solr", 8983: "solr"})
    assert routes.names["solr"] == ()


def test_plan_routes_keeps_the_usual_address_of_a_service_that_has_another_port_too() -> None:
    assert plan_routes({"solr:8080": "solr"}).forwarded == {8080: "solr", 8983: "solr"}


def test_plan_routes_gives_no_name_that_another_container_has() -> None:
    routes = plan_routes({"database": "database"})
    assert (routes.names["database"], routes.own) == ((), ("database",))
    assert routes.forwarded == {5432: "database"}


def test_own_names_are_those_of_the_services() -> None:
    files = (SERVICES / name for name in (DATABASE_FILE, *FILES.values()))
    names = {name for file in files for name in yaml.safe_load(file.read_text(encoding="utf-8"))["services"]}
    assert names == OWN_NAMES


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        (
            {"localhost:8983": "solr", "127.0.0.1:8983": "database"},
            "the port 8983 would be both solr and",
        ),
        ({"localhost:8000": "solr"}, r"the port 8000 of 'localhost:8000' is the site's own \(site.port\)"),
        ({"web": "solr"}, "'web' is the site's own container"),
    ],
)
def test_find_conflicts(aliases: dict[str, str], problem: str) -> None:
    (found,) = find_conflicts(aliases, 8000)
    assert re.match(problem, found)


def test_find_conflicts_has_nothing_against_one_host_with_two_services() -> None:
    assert list(find_conflicts({"localhost": "solr", "127.0.0.1": "database", "db": "database"}, 8000)) == []
