"""From the last document to an image: what haybale does then, and the least that anybody must.

The least is `docker cp` of the index's files and one `docker build` that copies them, as a person would type
it: nothing is stopped, counted or proved by it. Both are measured on the same index, one after the other.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import measure
from haybale import config
from haybale.checkout import read_checkout
from haybale.image_ref import ImageRef
from haybale.images.build import build_solr_image
from haybale.images.stages import SOLR_HOME
from haybale.index import bake
from haybale.index.home import CoreFolder, close_home, serve_core, write_home
from haybale.index.loader import follow_loader, loader_command
from haybale.index.serving import JVM_OPTIONS
from haybale.index.verification import raise_if_invalid
from haybale.tools import git, process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.loader.events import LoadProgress

IMAGE = "haybale-bench-baked"

PROJECT = """
[tool.haybale]
name = "haybale-bench"
registry = "localhost:5000/haybale-bench"
core = "{core}"

[tool.haybale.images]
solr = "{solr}"
"""

LEAST = "FROM {solr}\nCOPY data {home}/{core}/data\n"


@dataclass(frozen=True, kw_only=True)
class Baked:
    """Seconds of each of our steps, in their order, and of the least; the index in bytes."""

    size: int
    steps: Mapping[str, float]
    least: Mapping[str, float]


def bake_case(case: measure.Case, run: str) -> Baked:
    """Load a case, bake its index as `regen-solr-image` does, then do the least with the same index."""
    with (
        contextlib.ExitStack() as stack,
        tempfile.TemporaryDirectory(prefix="haybale-bench-") as folder,
    ):
        checkout = read_checkout(_project(Path(folder), case), os.environ)
        name = f"{IMAGE}:{run}"
        labels = {measure.LABEL: run}
        home = Path(folder, "solr")
        index = home / case.core / "data"
        clock = Clock()
        with measure.start_services(case, run, tuned=True) as services:

            def progress(_: LoadProgress) -> None:
                clock.start()

            command = loader_command(sample=measure.SAMPLE, inputs=None)
            loaded = follow_loader(services.exec(*command), progress, last="verified")
            raise_if_invalid(loaded.verification())
            clock.step("commit and verify")
            services.server.optimize()
            clock.step("rewrite into one segment")
            container = str(services.solr.id)
            bake.stop_solr(container)
            clock.step("stop Solr")
            size = bake.copy_index(container, case.core, index)
            clock.step("copy")
        clock.step("remove the containers")
        conf = CoreFolder(folder=case.conf, label=str(case.conf))
        write_home(home, {case.core: conf})
        counts = loaded.counts(case.core)
        serve_core(home / case.core, conf, case.conf, counts)
        close_home(home, [case.core])
        stack.callback(sdk.remove_image, name)
        build_solr_image(
            checkout, ImageRef.parse(name), home, labels, lambda _: None, core=case.core, options=JVM_OPTIONS
        )
        clock.step("build")
        bake.verify_image(name, {case.core: counts}, labels, is_closed=True)
        clock.step("prove")
        return Baked(size=size, steps=clock.steps, least=_do_the_least(case, run, index))


class Clock:
    """Seconds of one step after the other."""

    def __init__(self) -> None:
        self._last = 0.0
        self.steps: dict[str, float] = {}

    def start(self) -> None:
        """Begin the first step."""
        self._last = time.perf_counter()

    def step(self, name: str) -> None:
        """End a step, and begin the next one."""
        self.steps[name] = time.perf_counter() - self._last
        self.start()


def _do_the_least(case: measure.Case, run: str, index: Path) -> dict[str, float]:
    """Copy these files out of a container, as they were put into it, and build an image with them."""
    name = f"{IMAGE}-least:{run}"
    text = LEAST.format(solr=case.solr_image, home=SOLR_HOME, core=case.core)
    with tempfile.TemporaryDirectory(prefix="haybale-bench-") as folder:
        Path(folder, "Dockerfile").write_text(text, encoding="utf-8")
        with sdk.started_container(case.solr_image, ["sleep", "infinity"]) as container:
            _run(["docker", "cp", str(index), f"{container}:/tmp/data"])
            clock = Clock()
            clock.start()
            _run(["docker", "cp", f"{container}:/tmp/data", folder])
            clock.step("docker cp")
        clock.start()
        _run(["docker", "build", "--label", f"{measure.LABEL}={run}", "--tag", name, folder])
        clock.step("docker build")
    sdk.remove_image(name)
    return clock.steps


def _run(command: Sequence[str]) -> None:
    done = process.run(command)
    if not done.ok:
        raise SystemExit(f"{shlex.join(command)}: {done.stderr}")


def _project(folder: Path, case: measure.Case) -> config.Project:
    """Make a repository of the case's core, for the Dockerfile's stage `solr`."""
    root = folder / "project"
    shutil.copytree(case.conf, root / "solr_conf")
    shutil.copy(measure.HERE.parent / "Dockerfile", root)
    text = PROJECT.format(core=case.core, solr=case.solr_image)
    (root / config.FILE).write_text(text, encoding="utf-8")
    (root / ".bumpversion.cfg").write_text("[bumpversion]\ncurrent_version = 0.0.1\n", encoding="utf-8")
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "bench")):
        git.check_output(root, *command)
    return config.load(root, {})


def summarize(runs: Sequence[Baked]) -> dict[str, Any]:
    """Return the medians, and the ratio to the least as the median of the ratios within a round."""
    first = runs[0]
    return {
        "index_mb": round(first.size / 1e6, 1),
        "seconds": round(statistics.median(sum(run.steps.values()) for run in runs), 2),
        "steps": {name: round(statistics.median(run.steps[name] for run in runs), 2) for name in first.steps},
        "least": {name: round(statistics.median(run.least[name] for run in runs), 2) for name in first.least},
        "ratio": round(
            statistics.median(sum(run.steps.values()) / sum(run.least.values()) for run in runs), 2
        ),
    }
