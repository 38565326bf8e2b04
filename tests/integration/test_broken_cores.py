"""A real Solr with broken cores: the root cause is told as soon as Solr says it, whatever else starts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from haybale.config import ImageSettings, Project, Settings
from haybale.errors import ServiceError
from haybale.index.home import CoreFolder
from haybale.index.solr_start import watch_cores
from haybale.tools.engine.compose import Compose
from haybale.tools.solr import CoreFailedError, Solr

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]

# How to spoil a configuration, and what a Solr said then (tests/unit/test_core_status.py).
TABLE = Path(__file__).parents[1] / "unit/data/solr_failures.jsonl"
FAILURES: list[dict[str, Any]] = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]

# A Solr with every core, and a site that never comes up, which the services are waited for.
SERVICES = """
services:
  solr:
    image: {image}
    volumes: ["{home}:/from:ro"]
    command: [bash, -c, "cp -r /from /tmp/cores && SOLR_HOME=/tmp/cores exec solr-foreground"]
    ports: ["127.0.0.1::8983"]
  site:
    image: {image}
    command: [sleep, infinity]
    init: true
    healthcheck: {{test: ["CMD", "false"], interval: 1s, retries: 600}}
"""


def write_home(root: Path, home: Path) -> dict[str, Path]:
    """Make a folder of each core, spoiled as its line says; return their configurations."""
    cores = {}
    for each in FAILURES:
        folder = home / each["core"]
        conf = folder / "conf"
        shutil.copytree(root / "solr_conf", conf)
        (folder / "core.properties").write_text("", encoding="utf-8")
        file = conf / each["file"]
        if each["old"] is None:
            file.unlink()
        else:
            text = file.read_text(encoding="utf-8")
            assert each["old"] in text
            file.write_text(text.replace(each["old"], each["new"], 1), encoding="utf-8")
        cores[each["core"]] = conf
    (home / "solr.xml").write_text("<solr/>", encoding="utf-8")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return cores


# What differs from one start to the next: the core's folder, and the order of a list.
CHANGING = re.compile(r"/(tmp/cores|opt/haybale/solr)/|the following names: .*")


def messages(trace: str) -> list[str]:
    """What an answer says, without the lines that say where in Solr's code it was."""
    lines = (line for line in trace.splitlines() if not re.match(r"\s", line))
    return [CHANGING.sub("/HOME/", line) for line in lines if line]


def test_watch_cores_ends_the_start_with_the_root_cause_that_a_real_solr_tells(
    root: Path, tmp_path: Path, solr_image: str
) -> None:
    """And that Solr says what tests/unit/test_core_status.py explains."""
    settings = Settings(name="broken", registry="broken", images=ImageSettings(solr=solr_image))
    project = Project(root=tmp_path, settings=settings)
    cores = write_home(root, tmp_path / "home")
    file = tmp_path / "services.yml"
    file.write_text(SERVICES.format(image=solr_image, home=tmp_path / "home"), encoding="utf-8")
    name = f"haybale-test-{RUN}-{secrets.token_hex(4)}"
    services = Compose(files=(file,), folder=tmp_path, project=name, env_file=tmp_path / "env")
    found: dict[str, CoreFailedError] = {}

    def watch() -> None:
        """Hold back what ends the start until every core has failed."""
        with contextlib.suppress(ServiceError):  # it publishes no port yet
            address = services.published_address("solr", 8983)
            for core in cores.keys() - found.keys():
                if failure := Solr(f"http://{address}", core).find_failure():
                    found[core] = failure
        if found.keys() == cores.keys():
            icu = CoreFolder(folder=cores["icu"], label="home/icu/conf")
            watch_cores(services, project, {"icu": icu})()

    with pytest.raises(ServiceError, match="core icu cannot be opened") as told, services.up(watch=watch):
        pass
    assert "home/icu/conf/schema.xml:78: there is no class solr.ICUFoldingFilterFactory" in told.value.message
    assert "SOLR_MODULES=analysis-extras" in told.value.hint
    recorded = {each["core"]: (messages(each["trace"]), each["status"] is None) for each in FAILURES}
    assert {core: (messages(each.trace), each.is_loaded) for core, each in found.items()} == recorded
