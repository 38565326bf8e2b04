"""Run a loader on a fresh Solr and measure it: seconds, CPU seconds on both sides, memory.

Everything runs in containers of the benchmark's own network, labelled, and gone afterwards. CPU seconds are
what the engine counts for a container (its cgroup), so that they hold for whole trees of processes.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker

from bench import postgresql
from haybale.images.stages import SOLR_HOME
from haybale.index.loader import follow_loader, loader_command
from haybale.index.solrconfig import JVM_OPTIONS, SOLRCONFIG, read_solrconfig, tune
from haybale.index.verification import raise_if_counts_differ, raise_if_invalid
from haybale.tools import process
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker.models.containers import Container

HERE = Path(__file__).parent

LABEL = "io.haybale.bench"
HOME = SOLR_HOME.lstrip("/")
SOLR_USER = 8983
HEAP = "1g"

# Documents of each model that ours compares field by field, as `regen-solr-image` does by default.
SAMPLE = 200


@dataclass(frozen=True, kw_only=True)
class Case:
    """A site with its database: its image, folder, environment, mounts (host -> container), its Solr.

    `server` is the container of its database's server, "" where it has none.
    """

    name: str
    image: str
    solr_image: str
    workdir: str
    core: str
    conf: Path
    env: Mapping[str, str]
    mounts: Mapping[str, str]
    documents: int = 0
    server: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run took: seconds, CPU seconds of the loader and of Solr, the memory of processes (MB)."""

    wall: float
    loader_cpu: float
    solr_cpu: float
    documents: int
    peaks: tuple[float, ...] = ()
    solr_memory: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Site:
    """The site's container, in a network of its own."""

    case: Case
    site: Container

    def exec(self, *command: str) -> Iterator[str]:
        """Yield the lines of a command in the site's container; raises where it fails."""
        line = ["docker", "exec", "--workdir", self.case.workdir, str(self.site.id), *command]
        return process.stream_lines(line, merge=True)


@dataclass(frozen=True, kw_only=True)
class Services(Site):
    """A fresh Solr beside the site."""

    solr: Container
    server: Solr

    @property
    def url(self) -> str:
        """The core's address, for the site."""
        return f"http://solr:8983/solr/{self.case.core}"


def network_name(run: str) -> str:
    """Return the name of a run's network."""
    return f"haybale-bench-{run}"


@contextlib.contextmanager
def start_site(case: Case, run: str) -> Iterator[Site]:
    """Start the site, which sees its database's server, where it has one."""
    client = docker.from_env()
    labels = {LABEL: run}
    network = client.networks.create(network_name(run), labels=labels)
    site: Container | None = None
    try:
        site = client.containers.create(
            case.image,
            ["sleep", "infinity"],
            environment={**case.env, "SOLR_URL": f"http://solr:8983/solr/{case.core}"},
            labels=labels,
            network=network.name,
            init=True,
            user="0",
            volumes={host: {"bind": inside, "mode": "rw"} for host, inside in case.mounts.items()},
        )
        if case.server:
            network.connect(case.server, aliases=[postgresql.NAME])
        site.start()
        yield Site(case=case, site=site)
    finally:
        with process.uninterrupted():
            if site is not None:
                site.remove(force=True, v=True)
            network.reload()
            for other in network.containers:
                network.disconnect(other)
            network.remove()
            client.close()


@contextlib.contextmanager
def start_services(case: Case, run: str, *, tuned: bool) -> Iterator[Services]:
    """Start the site, and a fresh Solr with an empty core; `tuned`: as haybale bakes."""
    with start_site(case, run) as started, contextlib.closing(docker.from_env()) as client:
        name = network_name(run)
        solr = client.containers.create(
            case.solr_image,
            environment={
                "SOLR_HOME": f"/{HOME}",
                "SOLR_HEAP": HEAP,
                **({"SOLR_OPTS": " ".join(JVM_OPTIONS)} if tuned else {}),
            },
            labels={LABEL: run},
            ports={"8983/tcp": ("127.0.0.1", 0)},
            network=name,
            networking_config={name: client.api.create_endpoint_config(aliases=["solr"])},
        )
        try:
            solr.put_archive("/", core_archive(case, tuned=tuned))
            solr.start()
            solr.reload()
            port = solr.attrs["NetworkSettings"]["Ports"]["8983/tcp"][0]["HostPort"]
            server = Solr(f"http://127.0.0.1:{port}", case.core)
            server.wait_ready(120, lambda: bool(client.containers.get(str(solr.id)).status == "running"))
            yield Services(case=case, solr=solr, site=started.site, server=server)
        finally:
            with process.uninterrupted():
                solr.remove(force=True, v=True)


def core_archive(case: Case, *, tuned: bool) -> bytes:
    """Return Solr's home with the case's empty core as a tar, everything Solr's own."""
    stream = io.BytesIO()
    conf = {file.name: file.read_bytes() for file in sorted(case.conf.iterdir()) if file.is_file()}
    if tuned:
        conf[SOLRCONFIG] = tune(read_solrconfig(case.conf / SOLRCONFIG).root, HEAP)
    files = {"solr.xml": b"<solr/>", f"{case.core}/core.properties": f"name={case.core}\n".encode()}
    files |= {f"{case.core}/conf/{name}": content for name, content in conf.items()}
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in ("", f"/{case.core}", f"/{case.core}/conf"):
            entry = tarfile.TarInfo(HOME + folder)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, SOLR_USER, SOLR_USER
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{HOME}/{name}")
            entry.size, entry.uid, entry.gid = len(content), SOLR_USER, SOLR_USER
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def cpu_seconds(container: Container) -> float:
    """Return the CPU seconds that a container's processes have used."""
    stats: Any = container.stats(stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def peak_memory(container: Container) -> float:
    """Return the most memory (MB) of a container's first process. Source: proc(5), /proc/PID/status."""
    code, status = container.exec_run(["cat", "/proc/1/status"])
    lines = bytes(status).decode().splitlines()  # type: ignore[arg-type]
    found = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(found[0]) / 1024 if not code and found else 0.0


def run_haystack(case: Case, run: str, *options: str) -> Run:
    """Run Haystack's own loader."""
    with start_services(case, run, tuned=False) as services:
        before = cpu_seconds(services.site), cpu_seconds(services.solr)
        lines = list(
            services.exec(
                "python", "/bench/incontainer.py", "watch",
                "python", "manage.py", "rebuild_index", *options, "--noinput", "--verbosity", "0",
            )
        )  # fmt: skip
        watched = parse_watch(lines)
        return measure_run(services, before, watched["wall"], watched["peaks"])


def run_haybale(case: Case, run: str, sample: int = SAMPLE) -> Run:
    """Run haybale's loader, and its verification of a sample (0: of nothing, `ALL_DOCUMENTS`: of all)."""
    with start_services(case, run, tuned=True) as services:
        before = cpu_seconds(services.site), cpu_seconds(services.solr)
        lines: list[str] = []
        command = ["python", "/bench/incontainer.py", "watch", *loader_command(sample=sample, inputs=None)]
        last = "verified" if sample else "loaded"
        loaded = follow_loader(without_watch_lines(services.exec(*command), lines), lambda _: None, last=last)
        if sample:
            raise_if_invalid(loaded.verification())
        watched = parse_watch(lines)
        raise_if_counts_differ(loaded.counts(case.core), services.server.counts(), case.core)
        return measure_run(services, before, watched["wall"], watched["peaks"])


def prepare(case: Case, run: str, batches: str) -> Run:
    """Prepare and encode everything in one process; leave the batches in `batches` (in the container)."""
    with start_site(case, run) as site:
        *_, last = site.exec("python", "/bench/incontainer.py", "prepare", batches)
        took = json.loads(last)
        return Run(
            wall=took["cpu"], loader_cpu=took["cpu"], solr_cpu=0.0, documents=took["documents"],
            parts={"bytes": took["bytes"]},
        )  # fmt: skip


def send(case: Case, run: str, batches: str) -> Run:
    """Send the batches that `prepare` left."""
    with start_services(case, run, tuned=True) as services:
        before = cpu_seconds(services.site), cpu_seconds(services.solr)
        began = time.perf_counter()
        list(services.exec("python", "/bench/incontainer.py", "send", batches, services.url))
        return measure_run(services, before, time.perf_counter() - began, [])


def measure_run(
    services: Services,
    before: tuple[float, float],
    wall: float,
    peaks: list[int],
    parts: Mapping[str, float] | None = None,
) -> Run:
    """Return what a run took, at its end; Solr must hold as many documents as the database."""
    after = cpu_seconds(services.site), cpu_seconds(services.solr)
    documents = sum(services.server.counts().values())
    if services.case.documents and documents != services.case.documents:
        raise SystemExit(
            f"{services.case.name}: {documents} documents in Solr, {services.case.documents} expected"
        )
    return Run(
        wall=wall,
        loader_cpu=after[0] - before[0],
        solr_cpu=after[1] - before[1],
        documents=documents,
        peaks=tuple(kilobytes / 1024 for kilobytes in peaks),
        solr_memory=peak_memory(services.solr),
        parts=parts or {},
    )


def without_watch_lines(lines: Iterator[str], into: list[str]) -> Iterator[str]:
    """Yield all lines but those of `incontainer.py watch`, which are added to `into`."""
    for line in lines:
        if line.startswith("BENCH "):
            into.append(line)
        else:
            yield line


def parse_watch(lines: list[str]) -> dict[str, Any]:
    """Return what `incontainer.py watch` printed; raises where its command failed."""
    found = [line for line in lines if line.startswith("BENCH ")]
    watched: dict[str, Any] = json.loads(found[-1][6:]) if found else {"code": "none"}
    if watched["code"] != 0:
        raise SystemExit("\n".join(["the loader failed:", *lines[-20:]]))
    return watched


def check_free_space(folder: Path, needed: int) -> None:
    """Raise where a folder's disk has not so many bytes left."""
    if shutil.disk_usage(folder).free < needed:
        raise SystemExit(f"{folder} has less than {needed / 1e9:.0f} GB left")
