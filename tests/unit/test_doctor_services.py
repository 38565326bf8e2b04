"""What `doctor` says of the environments, as compose merged them."""

from __future__ import annotations

import socket

from haybale.doctor import services

MERGED = {
    "services": {
        "web": {
            "container_name": "shop",
            "ports": [{"mode": "ingress", "target": 8000, "published": "8000", "host_ip": "127.0.0.1"}],
        },
        "redis": {"ports": [{"target": 6379, "published": "6379-6381"}, {"target": 1}]},
        "solr": {"ports": [{"target": 8983, "published": "", "host_ip": "127.0.0.1"}]},
        "loader": {},
    }
}


def test_published_ports_leaves_out_those_that_the_engine_chooses() -> None:
    found = [(each.service, each.host, each.port) for each in services.published_ports(MERGED)]
    assert found == [("web", "127.0.0.1", 8000), *(("redis", "0.0.0.0", port) for port in (6379, 6380, 6381))]  # noqa: S104


def test_check_ports_names_the_service_and_the_setting() -> None:
    (found,) = services.check_ports(MERGED, "compose.ci", lambda _, port: port != 6380)
    assert found.level == "error"
    assert found.what == "the service redis publishes the port 6380, which is taken here"
    assert "compose.ci" in found.fix
    (web,) = services.check_ports(MERGED, "compose.ci", lambda _, port: port != 8000)
    assert web.fix.endswith("WEB_PORT=ANOTHER")


def test_check_names_warns_of_a_container_name() -> None:
    (found,) = services.check_names(MERGED, "compose.ci")
    assert "container_name: shop" in found.what
    assert found.fix == "remove container_name from the file of compose.ci"


def test_is_port_free_asks_the_machine() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert not services.is_port_free("127.0.0.1", port)
    assert services.is_port_free("127.0.0.1", port)
    assert services.is_port_free("127.0.0.1", 80)  # only root can tell
