"""What a machine and its container engine lack for a run: decided here from what they say of themselves."""

from __future__ import annotations

import ipaddress
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.doctor.finding import Diagnosis, Finding
from haybale.errors import PrerequisiteError
from haybale.tools.engine import buildx, install, sdk, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.config import Project
    from haybale.tools.engine.sdk import EngineInfo

# Bytes that images, the index and the build cache of a small site take.
LEAST_SPACE = 10 * 1000**3
LEAST_MEMORY = 2 * 1000**3

# Seconds that two clocks may differ.
CLOCK_DIFFERENCE = 60

# What Docker's networks get their addresses from where nobody configured it (moby, libnetwork/ipamutils).
USUAL_POOLS = (
    ("172.17.0.0/16", 16), ("172.18.0.0/16", 16), ("172.19.0.0/16", 16), ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16), ("172.28.0.0/14", 16), ("192.168.0.0/16", 20),
)  # fmt: skip
# Networks that are needed at once: for the site, its database and its Solr in each environment, which are one
# that indexes, one that tests, and a developer's own.
WANTED_NETWORKS = 9

# How an engine on this machine is reached; the SDK calls a socket http+docker.
LOCAL_ADDRESSES = ("unix:", "npipe:", "http+docker:", "http+unix:")

# Where WSL has the disks of Windows.
WINDOWS_DISK = re.compile(r"/mnt/[a-z]/")


def examine_engine(project: Project, env: Mapping[str, str]) -> Diagnosis:
    """Ask the container engine: its tools and their versions, its memory, space, clock, addresses."""
    machine = install.inspect_machine(env)
    if machine.missing:
        try:
            install.plan_installation(machine)
            why, fix = "images are built and tested with it", "install and start it: `haybale engine`"
        except PrerequisiteError as error:
            why, fix = error.cause or error.message, error.hint
        finding = Finding(level="error", what=f"missing: {machine.missing}", why=why, fix=fix)
        return Diagnosis(subject="engine", seen="not complete", findings=(finding,))
    engine = sdk.engine_info()
    found = [versions.read_version(tool) for tool in versions.TOOLS]
    findings = [
        *(Finding.from_error(each.error) for each in found if each.is_too_old and not engine.is_podman),
        *check_podman(engine),
        *check_builder(buildx.read_driver()),
        *check_memory(engine.memory),
        *check_space(engine.folder),
        *check_clock(engine.clock - time.time()),
        *check_address_pools(engine.address_pools or USUAL_POOLS, sdk.network_subnets()),
        *check_place(project.home, engine.address, Path.home(), sys.platform),
    ]
    seen = ", ".join(f"{each.tool.name} {each.text}" for each in found)
    return Diagnosis(
        subject="engine", seen=f"Podman, {seen}" if engine.is_podman else seen, findings=tuple(findings)
    )


def check_podman(engine: EngineInfo) -> Iterator[Finding]:
    """Yield what Podman's socket cannot do (containers/podman, issues 17836 and 13889)."""
    if engine.is_podman:
        yield Finding(
            level="warning",
            what="Podman answers in Docker's place",
            why="it has no BuildKit, so buildx needs a builder of its own, which does not see its images, "
            "and without systemd Podman asks no health checks, so that services never become healthy",
            fix="docker buildx create --use --driver docker-container; base images from a registry",
        )


def check_builder(driver: str | None) -> Iterator[Finding]:
    """Yield what is wrong with the builder that is chosen; `driver` is None where none is known."""
    if driver not in {None, "docker"}:
        yield Finding(
            level="warning",
            what=f"buildx builds with the driver {driver}",
            why="it does not see the images of the engine: a base image that is only here is not found, and "
            "each image is copied into the engine when it is built",
            fix="docker buildx use default",
        )


def check_memory(memory: int) -> Iterator[Finding]:
    """Yield that the engine has too little memory, in bytes."""
    if memory < LEAST_MEMORY:
        yield Finding(
            level="warning",
            what=f"the engine has {memory / 1e9:.1f} GB of memory",
            why=f"Solr, the site and the build need {LEAST_MEMORY / 1e9:.0f} GB",
            fix="give it more (Docker Desktop: Settings, Resources)",
        )


def check_space(folder: Path) -> Iterator[Finding]:
    """Yield that the disk of the engine's folder is nearly full."""
    # Where the engine is another machine's, its folder is not here.
    if folder.is_dir() and (free := shutil.disk_usage(folder).free) < LEAST_SPACE:
        yield Finding(
            level="warning",
            what=f"there are {free / 1e9:.1f} GB left in {folder}",
            why=f"images and the build cache go there, and take {LEAST_SPACE / 1e9:.0f} GB",
            fix="docker system df shows what takes the space, docker builder prune frees the build cache",
        )


def check_clock(difference: float) -> Iterator[Finding]:
    """Yield that the engine's clock is another one; `difference` is in seconds."""
    if abs(difference) > CLOCK_DIFFERENCE:
        yield Finding(
            level="warning",
            what=f"the engine's clock is {difference:+.0f} s off this machine's",
            why="certificates and builds depend on it",
            fix="set the clocks; Docker Desktop and WSL: restart them",
        )


def check_address_pools(pools: Sequence[tuple[str, int]], subnets: Sequence[str]) -> Iterator[Finding]:
    """Yield that the engine has no addresses left for the networks of a run.

    `pools` are base and prefix length, `subnets` those of the networks that there are. What the machine's own
    routes take (a VPN's) is not known here, so it may be fewer.
    """
    free = count_free_subnets(pools, subnets)
    if free < WANTED_NETWORKS:
        left = {0: "no network", 1: "one network"}.get(free, f"{free} networks")
        yield Finding(
            level="warning" if free else "error",
            what=f"the engine has addresses left for {left} more",
            why=f"each environment has three, and a run up to {WANTED_NETWORKS}: without addresses none is "
            "made (all predefined address pools have been fully subnetted)",
            fix="docker network prune removes those that no container uses; or add "
            '"default-address-pools": [{"base": "10.200.0.0/16", "size": 24}] to the engine\'s daemon.json',
        )


def count_free_subnets(pools: Sequence[tuple[str, int]], subnets: Sequence[str]) -> int:
    """Return how many more networks `pools` have addresses for, as far as it matters: WANTED_NETWORKS."""
    taken = [each for each in map(ipaddress.ip_network, subnets) if each.version == 4]  # noqa: PLR2004
    free = 0
    for base, size in pools:
        network = ipaddress.ip_network(base)
        if network.version != 4:  # noqa: PLR2004
            continue
        for subnet in network.subnets(new_prefix=max(size, network.prefixlen)):
            free += not any(subnet.overlaps(each) for each in taken)
            if free >= WANTED_NETWORKS:
                return free
    return free


def check_place(root: Path, address: str, home: Path, platform: str) -> Iterator[Finding]:
    """Yield that the engine may not see the repository: what is mounted is in its folder .haybale.

    `address` is the engine's, `home` the user's folder, `platform` as `sys.platform` has it.
    """
    if not address.startswith(LOCAL_ADDRESSES):
        yield Finding(
            level="warning",
            what=f"the engine is another machine's ({address})",
            why=f"folders below {root}/.haybale are mounted into containers, and services are asked at "
            "127.0.0.1: both must be the same there",
            fix="docker context use default, or unset DOCKER_HOST",
        )
    elif platform == "darwin" and not root.is_relative_to(home):
        yield Finding(
            level="warning",
            what=f"{root} is outside of {home}",
            why="the engine's virtual machine sees only folders that are shared with it, mostly the home "
            "folder alone; haybale mounts what is in .haybale",
            fix=f"move it below {home}, or share its folder (Docker Desktop: Resources, File sharing)",
        )
    elif WINDOWS_DISK.match(f"{root}/"):
        yield Finding(
            level="warning",
            what=f"{root} is on a disk of Windows",
            why="WSL reaches it over a network protocol: building and restoring takes several times as long",
            fix="git clone into WSL's own file system, such as ~/",
        )
