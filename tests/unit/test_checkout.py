from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.checkout import Checkout, read_version
from haybale.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def checkout(root: Path, env: dict[str, str]) -> Checkout:
    (root / ".bumpversion.cfg").write_text("[bumpversion]\ncurrent_version = 1.2.3\n", encoding="utf-8")
    (root / "pyproject.toml").write_text(
        '[tool.haybale]\nname = "site"\nregistry = "r.example/site"\ncore = "site"\n', encoding="utf-8"
    )
    return Checkout(project=config.load(root, {}), env=env, version=read_version(root, env), head=None)


def test_checkout_names_the_images_of_its_version(tmp_path: Path) -> None:
    made = checkout(tmp_path, {})
    assert str(made.stage_image("release")) == "r.example/site:v1.2.3"
    assert str(made.stage_image("solr")) == "r.example/site:v1.2.3-solr"
    assert str(made.index_image("a" * 32)) == f"r.example/site:solr-{'a' * 32}"


@pytest.mark.parametrize(
    ("given", "number", "shown"),
    [
        ({}, "7", "v1.2.3-7"),
        ({}, None, "v1.2.3"),
        ({}, "", "v1.2.3"),
        ({"prNum": "8"}, "7", "v1.2.3-8"),
        ({"prNum": ""}, "7", "v1.2.3"),
    ],
)
def test_for_pull_request_keeps_the_number_of_the_environment(
    tmp_path: Path, given: dict[str, str], number: str | None, shown: str
) -> None:
    assert str(checkout(tmp_path, given).for_pull_request(number).version) == shown


def test_for_pull_request_refuses_a_number_that_is_a_build(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="r1"):
        checkout(tmp_path, {}).for_pull_request("r1")
