"""Which proxy a request goes through, compared with Go's own answers.

data/proxies.jsonl was made with golang.org/x/net v0.62.0: for each environment and URL a program sets these
variables and no others, and prints `httpproxy.FromEnvironment().ProxyFunc()(url)`, null for none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from haybale.tools.proxies import find_proxy, request_proxies

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("data").joinpath("proxies.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES)
def test_find_proxy_answers_as_go_does(case: dict[str, Any]) -> None:
    assert find_proxy(case["url"], case["env"]) == case["proxy"]


def test_proxies_are_compared_over_a_table_of_more_than_sixty_cases() -> None:
    assert len(CASES) > 60
    assert {case["proxy"] is None for case in CASES} == {True, False}


def test_find_proxy_does_not_trust_http_proxy_of_a_cgi_script() -> None:
    env = {"HTTP_PROXY": "http://evil.test:1", "HTTPS_PROXY": "http://proxy.test:1", "REQUEST_METHOD": "GET"}
    assert find_proxy("http://registry.test/", env) is None
    assert find_proxy("https://registry.test/", env) == "http://proxy.test:1"


def test_request_proxies_are_for_the_url_s_scheme() -> None:
    env = {"HTTPS_PROXY": "proxy.test:1"}
    assert request_proxies("https://registry.test/", env) == {"https": "http://proxy.test:1"}
    assert request_proxies("http://registry.test/", env) == {}
