"""From a running Solr to the files of its index, and from a baked image to the proof that it serves them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from haybale.errors import LoadError, ServiceError, VerifyError
from haybale.index.verification import raise_if_counts_differ
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from haybale.config import Settings

# Seconds that Solr gets to close its index. Docker's own 10 are too few for a large one.
STOP_SECONDS = 180

# A JVM that was asked to stop, and did: 128 + SIGTERM. 137 would be a kill, with the index in any state.
STOPPED_CLEANLY = 143

# Not part of an index: logs of updates and of Solr, the lock of the process that had it open.
EXCLUDED = ("tlog", "index/write.lock")

SOLR_HOME = "/opt/haybale/solr"

# What Lucene keeps in files of each kind (org.apache.lucene.codecs.lucene90, "File Naming").
PARTS_BY_SUFFIX = {
    **dict.fromkeys((".fdt", ".fdx", ".fdm"), "stored fields"),
    **dict.fromkeys((".tim", ".tip", ".tmd"), "terms"),
    **dict.fromkeys((".doc", ".psm"), "frequencies"),
    ".pos": "positions",
    ".pay": "offsets",
    **dict.fromkeys((".dvd", ".dvm"), "doc values"),
    **dict.fromkeys((".nvd", ".nvm"), "norms"),
    **dict.fromkeys((".kdd", ".kdi", ".kdm"), "numbers"),
    **dict.fromkeys((".tvd", ".tvx", ".tvm"), "term vectors"),
    **dict.fromkeys((".cfs", ".cfe"), "whole segments"),
}


def stop_solr(container: str) -> None:
    """Stop Solr and make sure that it closed its index itself; raises `LoadError`."""
    code = sdk.stop_container(container, STOP_SECONDS)
    if code != STOPPED_CLEANLY:
        raise LoadError(
            f"Solr did not stop cleanly (exit code {code}, not {STOPPED_CLEANLY})",
            cause="it was killed, by the engine because memory ran out or its time was up",
            hint="raise index.heap, or the machine's memory, and regenerate",
            log=sdk.container_log_tail(container),
        )


def copy_index(container: str, settings: Settings, folder: Path) -> int:
    """Copy a stopped Solr's index into `folder` (its core's data folder); return its size in bytes.

    Raises `LoadError` where there is no index in it.
    """
    try:
        sdk.copy_from_container(container, f"{SOLR_HOME}/{settings.core}/data", folder)
    except ServiceError as error:
        raise LoadError(error.message, hint="regenerate once more") from error
    for name in EXCLUDED:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    if not any(folder.glob("index/segments_*")):
        raise LoadError(
            "the stopped Solr left no index behind",
            cause=f"its core keeps its data elsewhere than in {SOLR_HOME}/{settings.core}/data",
            hint="look for dataDir in solrconfig.xml and core.properties",
        )
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def sizes_by_part(folder: Path) -> dict[str, int]:
    """Return the bytes of each part of an index in a core's data folder, the largest first."""
    sizes: dict[str, int] = {}
    for file in (file for file in folder.rglob("*") if file.is_file()):
        part = PARTS_BY_SUFFIX.get(file.suffix, "the rest")
        sizes[part] = sizes.get(part, 0) + file.stat().st_size
    return dict(sorted(sizes.items(), key=lambda each: -each[1]))


def verify_image(
    image: str, settings: Settings, expected: Mapping[str, int], labels: Mapping[str, str]
) -> None:
    """Start the baked image once and compare its counts with the database's; raises `VerifyError`."""
    with sdk.started_container(image, labels=labels, port=8983) as container:
        server = Solr(f"http://{sdk.published_address(container, 8983)}", settings.core)
        server.wait_ready(timeout=120, is_alive=lambda: sdk.is_container_running(container))
        raise_if_counts_differ(expected, server.counts())
    if not expected:
        raise VerifyError("no model was indexed", cause="the site has no search index for Solr")
