from __future__ import annotations

import pytest
import yaml

from haybale.images import stack
from haybale.images.site_services import NETWORKS
from haybale.images.stack import creates_containers


@pytest.mark.parametrize(
    ("line", "creates"),
    [
        ("up -d", True),
        ("--profile extra up", True),
        ("run --rm web ps", True),
        ("", False),
        ("ps --all", False),
        ("exec web sh -c up", False),
        ("exec web run up", False),
        ("logs -f create", False),
        ("down -v", False),
        ("--help", False),
    ],
)
def test_creates_containers_looks_at_the_first_command(line: str, creates: bool) -> None:
    assert creates_containers(line.split()) is creates


@pytest.mark.parametrize("kind", ["solr", "ci"])
def test_solr_is_confined_in_each_environment_and_can_be_asked(kind: str) -> None:
    read = yaml.safe_load((stack.SERVICES / stack.FILES[kind]).read_text(encoding="utf-8"))
    solr = read["services"].pop("solr")
    assert solr["cap_drop"] == ["ALL"]
    assert solr["security_opt"] == ["no-new-privileges"]
    assert solr["user"] == "8983:8983"
    assert {"pids_limit", "mem_limit"} <= solr.keys()
    assert all(port.startswith("127.0.0.1:") for port in solr["ports"])
    (network,) = solr["networks"]
    assert network == NETWORKS["solr"]
    options = read["networks"][network]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    assert all(network in service["networks"] for service in read["services"].values())
