"""From a running Solr to the files of its index, and from a baked image to the proof that it serves them."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from haybale.errors import LoadError, ServiceError, VerifyError
from haybale.images.stages import SOLR_HOME
from haybale.index.core_status import explain_failure
from haybale.index.serving import SECURITY, find_open_probe
from haybale.index.verification import raise_if_counts_differ
from haybale.tools.engine import sdk
from haybale.tools.solr import CoreFailedError, Solr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Seconds that Solr gets to close its index. Docker's own 10 are too few for a large one.
STOP_SECONDS = 180

# A JVM that was asked to stop, and did: 128 + SIGTERM. 137 would be a kill, with the index in any state.
STOPPED_CLEANLY = 143

# Not part of an index: logs of updates and of Solr, the lock of the process that had it open.
EXCLUDED = ("tlog", "index/write.lock")

# As docker-compose.ci.yml and the manifests run the image: Solr's own user, and the folders it writes to.
USER = "8983:8983"
WRITTEN = {"/tmp": "", "/var/solr": "uid=8983"}  # noqa: S108 - a place in the container

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
    begun = time.monotonic()
    code = sdk.stop_container(container, STOP_SECONDS)
    if code == STOPPED_CLEANLY:
        return
    seen = sdk.container_state(container)
    if time.monotonic() - begun >= STOP_SECONDS:
        cause = f"it had not closed its index after {STOP_SECONDS} s, and the engine killed it"
    else:
        cause = f"it was not by docker stop that it ended; {seen.memory}"
    raise LoadError(
        f"Solr did not stop cleanly (exit code {code}, not {STOPPED_CLEANLY})",
        cause=cause,
        hint="give the engine more memory, or index.heap less, then: `haybale regen-solr-image`"
        if seen.is_out_of_memory
        else "regenerate once more: `haybale regen-solr-image`",
        log=sdk.container_log_tail(container),
    )


def copy_index(container: str, core: str, folder: Path) -> int:
    """Copy a core's index out of a stopped Solr into `folder` (its data folder); return its size in bytes.

    Raises `LoadError` where there is no index in it.
    """
    _copy_from_core(container, f"{core}/data", folder)
    for name in EXCLUDED:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    if not any(folder.glob("index/segments_*")):
        raise LoadError(
            "the stopped Solr left no index behind",
            cause=f"there are no index/segments_* in {SOLR_HOME}/{core}/data, where a core keeps its index",
            hint="remove what names another place or form: dataDir and directoryFactory in solrconfig.xml, "
            "dataDir in core.properties",
        )
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def copy_configuration(container: str, core: str, folder: Path) -> None:
    """Copy a core's configuration out of a stopped Solr, which may have written its schema; `LoadError`."""
    _copy_from_core(container, f"{core}/conf", folder)


def _copy_from_core(container: str, path: str, folder: Path) -> None:
    try:
        sdk.copy_from_container(container, f"{SOLR_HOME}/{path}", folder)
    except ServiceError as error:
        raise LoadError(
            error.message,
            cause=error.cause or "the stopped Solr has no such folder",
            hint="to look at it afterwards: `haybale regen-solr-image --keep`",
        ) from error


def sizes_by_part(folder: Path) -> dict[str, int]:
    """Return the bytes of each part of an index in a core's data folder, the largest first."""
    sizes: dict[str, int] = {}
    for file in (file for file in folder.rglob("*") if file.is_file()):
        part = PARTS_BY_SUFFIX.get(file.suffix, "the rest")
        sizes[part] = sizes.get(part, 0) + file.stat().st_size
    return dict(sorted(sizes.items(), key=lambda each: -each[1]))


def verify_image(
    image: str, expected: Mapping[str, Mapping[str, int]], labels: Mapping[str, str], *, is_closed: bool
) -> None:
    """Start the baked image once as it is deployed, and compare the counts of each core with `expected`.

    Where it `is_closed`, it must refuse all that is no search. Raises `VerifyError`, also where a core can't
    be served so.
    """
    with sdk.started_container(image, labels=labels, port=8983, user=USER, written=WRITTEN) as container:
        url = f"http://{sdk.published_address(container, 8983)}"
        for core, counts in expected.items():
            server = Solr(url, core)
            try:
                server.wait_ready(timeout=120, is_alive=lambda: sdk.is_container_running(container))
                found = server.counts()
                open_probe = find_open_probe(server) if is_closed else None
            except ServiceError as error:
                if isinstance(error, CoreFailedError):
                    error = explain_failure(error, image=None, files={})
                raise VerifyError(
                    f"the baked image does not serve the core {core}: {error.message}",
                    cause=f"{error.cause}; it was started as it is deployed: read-only, as {USER}, without "
                    "capabilities",
                    hint=f"{error.hint}; then regenerate the index (`haybale regen-solr-image`)",
                    log=sdk.container_log_tail(container),
                ) from error
            raise_if_counts_differ(counts, found, core)
            if open_probe is not None:
                raise VerifyError(
                    f"the baked image answers {open_probe.path.format(core=core)}: {open_probe.opens}",
                    cause=f"the Solr of the image does not heed {SECURITY}, solrconfig.xml or SOLR_OPTS as "
                    "haybale wrote them: another version, or the stage solr starts it another way",
                    hint='correct the stage solr; or index.serve = "open", where only the site reaches Solr',
                )
    if not any(expected.values()):
        hint = "look at INSTALLED_APPS and HAYSTACK_CONNECTIONS as the site's container has them"
        raise VerifyError("no model was indexed", cause="the site has no search index for Solr", hint=hint)
