"""The settings' JSON Schema: the file in the repository is the present one, and judges as `load` does."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from haybale import config
from haybale.config_schema import settings_schema
from haybale.errors import ConfigError

ROOT = Path(__file__).parents[2]
SMALLEST = '[tool.haybale]\nname = "site"\nregistry = "localhost:5000/site"\ncore = "site"\n'


def is_valid(text: str) -> bool:
    table = tomllib.loads(text)["tool"]["haybale"]
    return bool(jsonschema.Draft7Validator(settings_schema()).is_valid(table))


def test_settings_schema_is_the_file_of_the_repository() -> None:
    file = json.loads((ROOT / "haybale.schema.json").read_text(encoding="utf-8"))
    assert file == settings_schema(), "haybale config --schema >haybale.schema.json"


def test_settings_schema_is_a_schema_that_takes_this_repository() -> None:
    jsonschema.Draft7Validator.check_schema(settings_schema())
    assert is_valid((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        SMALLEST,
        SMALLEST.replace('core = "site"\n', ""),
        SMALLEST.replace('"site"\n', '["de", "en"]\n').replace('name = ["de", "en"]', 'name = "s"'),
        SMALLEST.replace('core = "site"', "core = []"),
        SMALLEST.replace('core = "site"', 'core = ["de", "de"]'),
        SMALLEST + 'solr_conf = {site = "a"}\n',
        SMALLEST + "solr_conf = {site = 1}\n",
        SMALLEST + "batch_size = 3\n",
        SMALLEST + "local = true\n",
        SMALLEST + 'local = "true"\n',
        SMALLEST + 'main = "a..b"\n',
        SMALLEST + "[tool.haybale.index]\nsample = 0\n",
        SMALLEST + "[tool.haybale.index]\nsample = 1\n",
        SMALLEST + "[tool.haybale.index]\nbatch = true\n",
        SMALLEST + '[tool.haybale.index]\nheap = "lots"\n',
        SMALLEST + '[tool.haybale.index]\nheap = "1g"\ninputs = ["a", "b"]\n',
        SMALLEST + "[tool.haybale.index]\ninputs = [1]\n",
        SMALLEST + '[tool.haybale.index]\nheap = ""\n',
        SMALLEST + '[tool.haybale.build]\nplatform = ""\n',
        SMALLEST + '[tool.haybale.environments.dev]\nhost = "dev.test"\n',
        SMALLEST + '[tool.haybale.environments.dev]\nhots = "dev.test"\n',
        SMALLEST + '[tool.haybale.environments."a b"]\n',
        SMALLEST + '[tool.haybale.flux]\nurl = "git@host:path"\n',
    ],
)
def test_settings_schema_judges_as_load_does(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    try:
        config.load(tmp_path, {})
    except ConfigError:
        is_loaded = False
    else:
        is_loaded = True
    assert is_valid(text) == is_loaded
