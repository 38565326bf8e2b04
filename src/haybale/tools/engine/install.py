"""The engine session: a container engine with compose and buildx, installed and started where there is none.

It inspects the machine, makes a plan (a pure function) and carries it out, announcing each action. A running
engine is never changed.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError
from haybale.tools import apt, process
from haybale.tools.engine import versions

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence

SYSTEMD = Path("/run/systemd/system")  # sd_booted(3): it exists where systemd is the init system
DAEMON_JSON = Path("/etc/docker/daemon.json")
DAEMON_PID = Path("/var/run/docker.pid")
PID_FILES = {DAEMON_PID: "dockerd", Path("/run/docker/containerd/containerd.pid"): "containerd"}
NAMESPACES = Path("/run/docker/netns")
DAEMON_LOG = Path("/var/log/haybale-dockerd.log")
OUR_SOURCE = Path("/etc/apt/sources.list.d/haybale-engine.sources")
OUR_PIN = Path("/etc/apt/preferences.d/haybale-engine")

# Registry build caches need containerd's image store.
DAEMON_SETTINGS = '{"features": {"containerd-snapshotter": true}}\n'

# Seconds that a daemon gets to answer after it was started, and between two questions.
TIMEOUT = 60
PAUSE = 0.2

# Debian 12's own engine has neither compose v2 nor buildx; the next release's packages install there.
NEWER_SUITE = {"bookworm": "trixie"}
DEBIAN_PACKAGES = ("docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx", "iptables")
UBUNTU_PACKAGES = ("docker.io", "docker-compose-v2", "docker-buildx", "iptables")

# For a user who has to do it.
INSTRUCTIONS = (
    "Debian 13: apt-get install docker.io docker-compose docker-buildx; "
    "Ubuntu: apt-get install docker.io docker-compose-v2 docker-buildx; "
    "elsewhere: install Docker Engine with its compose and buildx plugins, and start it"
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine: which of engine, compose and buildx work, and what could be done about the others.

    `remote` names an engine that is not the machine's own (None: there is none); `is_denied`: this user may
    not use the engine that runs; `has_daemon`: one is installed; `has_settings`: somebody configured it.
    """

    has_engine: bool
    has_compose: bool
    has_buildx: bool
    remote: str | None
    is_denied: bool
    has_daemon: bool
    system: str
    codename: str
    is_root: bool
    has_systemd: bool
    has_settings: bool

    @property
    def missing(self) -> str:
        """What does not work, for people; "" where everything does."""
        tools = ("a container engine", "compose v2", "buildx")
        works = (self.has_engine, self.has_compose, self.has_buildx)
        return ", ".join(tool for tool, does in zip(tools, works, strict=True) if not does)


@dataclass(frozen=True, kw_only=True)
class InstallPlan:
    """What is to be done: packages to install (from `suite`, None: the system's own), a daemon to start."""

    packages: tuple[str, ...] = ()
    suite: str | None = None
    write_settings: bool = False
    start: bool = False


def ensure_engine(say: Callable[[str], None]) -> None:
    """Make sure that engine, compose v2 and buildx work; raises `PrerequisiteError` where they cannot.

    Also where one is too old: it is somebody's choice, and stays.
    """
    machine = inspect_machine(os.environ)
    if machine.missing:
        plan = plan_installation(machine)
        with daemon_settings(plan, say):
            if plan.packages:
                install_packages(plan, say)
        if plan.start and not succeeds("info"):
            start_daemon(say, systemd=machine.has_systemd)
        missing = inspect_machine(os.environ).missing
        if missing:
            message, cause = f"still missing: {missing}", "the packages do not have it"
            raise PrerequisiteError(message, cause=cause, hint=INSTRUCTIONS)
    for tool in versions.TOOLS:
        versions.require_version(tool)
    say(f"the container engine answers ({engine_versions()})")


def inspect_machine(env: Mapping[str, str]) -> Machine:
    """Return the state of the machine; starts and changes nothing."""
    client = process.find_executable("docker") is not None
    info = process.run(["docker", "info"]) if client else None
    context = process.run(["docker", "context", "show"]).stdout.strip() if client else ""
    other_context = f"the context {context}" if context not in {"", "default"} else None
    release = apt.read_os_release()
    return Machine(
        has_engine=info is not None and info.ok,
        has_compose=succeeds("compose", "version"),
        has_buildx=succeeds("buildx", "version"),
        remote=env.get("DOCKER_HOST") or other_context,
        is_denied=info is not None and not info.ok and "permission denied" in info.output.lower(),
        has_daemon=process.find_executable("dockerd") is not None,
        system=release.get("ID", ""),
        codename=release.get("VERSION_CODENAME", ""),
        is_root=apt.is_root(),
        has_systemd=SYSTEMD.is_dir(),
        has_settings=DAEMON_JSON.exists(),
    )


def plan_installation(machine: Machine) -> InstallPlan:
    """Return what is to be done on such a machine; `PrerequisiteError` where the user has to do it."""
    if machine.remote and not machine.has_engine:
        cause = "the docker configuration (DOCKER_HOST, or a context) names it: haybale does not start it"
        hint = "start it; or, for this machine's own: unset DOCKER_HOST, docker context use default"
        raise PrerequisiteError(f"the engine does not answer ({machine.remote})", cause=cause, hint=hint)
    if machine.is_denied:
        message = "a container engine runs here, and this user may not use it"
        cause = "the user is not in the group docker"
        hint = "sudo usermod --append --groups docker $USER, then log in again"
        raise PrerequisiteError(message, cause=cause, hint=hint)
    tools_missing = not (machine.has_compose and machine.has_buildx)
    installing = tools_missing or not (machine.has_engine or machine.has_daemon)
    packages = {"debian": DEBIAN_PACKAGES, "ubuntu": UBUNTU_PACKAGES}.get(machine.system, ())
    if machine.has_engine and tools_missing:
        cause = "an engine runs here already, and installing packages could replace it"
        hint = f"install the plugin as that engine was installed ({INSTRUCTIONS})"
        raise PrerequisiteError(f"missing: {machine.missing}", cause=cause, hint=hint)
    if not machine.is_root or (installing and not packages):
        known = "only root can install and start it"
        cause = known if packages else "the names of this system's packages are not known"
        raise PrerequisiteError(f"missing: {machine.missing}", cause=cause, hint=INSTRUCTIONS)
    return InstallPlan(
        packages=packages if installing else (),
        suite=NEWER_SUITE.get(machine.codename) if installing else None,
        write_settings=not machine.has_settings,
        start=not machine.has_engine,
    )


def succeeds(*arguments: str) -> bool:
    """Return whether a docker command succeeds."""
    return process.find_executable("docker") is not None and process.run(["docker", *arguments]).ok


def engine_versions() -> str:
    """Return the versions of engine, compose and buildx, for people."""
    found = map(versions.read_version, versions.TOOLS)
    return ", ".join(f"{each.tool.name} {each.text}" for each in found)


@contextlib.contextmanager
def daemon_settings(plan: InstallPlan, say: Callable[[str], None]) -> Iterator[None]:
    """Configure the engine before the block installs it: with systemd, the packages start it at once."""
    if plan.start and not plan.write_settings:
        say(f"leaving {DAEMON_JSON} as it is")
    if plan.write_settings:
        say(f"switching on containerd's image store in {DAEMON_JSON}")
        DAEMON_JSON.parent.mkdir(parents=True, exist_ok=True)
        DAEMON_JSON.write_text(DAEMON_SETTINGS, encoding="utf-8")
    try:
        yield
    except BaseException:
        # Not installed: nothing of it stays, and the next attempt begins with the same.
        if plan.write_settings:
            DAEMON_JSON.unlink(missing_ok=True)
        raise


def install_packages(plan: InstallPlan, say: Callable[[str], None]) -> None:
    """Install the plan's packages with apt; raises `PrerequisiteError` with apt's log."""
    source = f"from Debian's suite {plan.suite}" if plan.suite else "from the distribution's packages"
    say(f"installing {', '.join(plan.packages)} {source}")
    # iptables is new enough everywhere, and the system's own stays.
    chosen = f"/{plan.suite}" if plan.suite else ""
    names = [name if name == "iptables" else name + chosen for name in plan.packages]
    with apt_suite(plan.suite):
        apt.install_packages(*names)


@contextlib.contextmanager
def apt_suite(name: str | None) -> Iterator[None]:
    """Let apt see a newer suite for the length of the block, at a priority that moves nothing else."""
    if not name:
        yield
        return
    text = find_suite_source(apt.package_sources(), apt.read_os_release().get("VERSION_CODENAME", ""), name)
    try:
        OUR_SOURCE.write_text(text, encoding="utf-8")
        OUR_PIN.write_text(f"Package: *\nPin: release n={name}\nPin-Priority: 100\n", encoding="utf-8")
        yield
    finally:
        OUR_SOURCE.unlink(missing_ok=True)
        OUR_PIN.unlink(missing_ok=True)


def find_suite_source(present: Sequence[apt.Source], codename: str, name: str) -> str:
    """Return a source for the suite `name` (sources.list(5), deb822), from where this machine has its own.

    Raises `PrerequisiteError` where apt's sources do not have the codename.
    """
    found = apt.sources_of_suite(present, codename, name, ("",))
    if not found:
        message = f"apt's sources do not name the packages of {codename}"
        hint = f"install the packages of {name} yourself; {INSTRUCTIONS}"
        raise PrerequisiteError(message, cause=f"none of them has the suite {codename}", hint=hint)
    return found[0].stanza()


def start_daemon(say: Callable[[str], None], *, systemd: bool) -> None:
    """Start the daemon and wait until it answers; raises `PrerequisiteError` with its log."""
    daemon = None
    if systemd:
        say("starting docker (systemd)")
        started = process.run(["systemctl", "start", "docker"])
        if not started.ok:
            message, hint = "systemd could not start docker", "journalctl --unit docker"
            raise PrerequisiteError(message, hint=hint, log=started.output)
    elif is_running(DAEMON_PID, PID_FILES[DAEMON_PID]):
        # A package's script may have started it, or somebody else.
        say("waiting for the daemon that was just started")
    else:
        remove_leftovers()
        say(f"starting dockerd (log: {DAEMON_LOG})")
        with DAEMON_LOG.open("wb") as log:
            daemon = process.start_detached(["dockerd"], log)
    wait_until_ready(daemon)


def is_running(pid_file: Path, name: str) -> bool:
    """Return whether the process of a pid file runs, under that name: its number may be another's by now."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name
    except (OSError, ValueError):
        return False


def remove_leftovers() -> None:
    """Remove what a killed daemon left that keeps a new one from starting.

    Its builder's network namespaces keep addresses on the bridge, which the new daemon assigns again; the
    number in a pid file may be another process's by now, and the new daemon takes that for a running one.
    What a process still uses stays.
    """
    for file, name in PID_FILES.items():
        if not is_running(file, name):
            file.unlink(missing_ok=True)
    used = set()
    for namespace in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            used.add(namespace.stat().st_ino)
    for namespace in NAMESPACES.glob("*"):
        if namespace.stat().st_ino not in used:
            process.run(["umount", str(namespace)])
            namespace.unlink(missing_ok=True)


def wait_until_ready(daemon: subprocess.Popen[bytes] | None) -> None:
    """Wait until the engine answers; `PrerequisiteError` where its daemon ends, or needs too long."""
    end = time.monotonic() + TIMEOUT
    while not succeeds("info"):
        ended = daemon is not None and daemon.poll() is not None
        if ended or time.monotonic() > end:
            lines = DAEMON_LOG.read_text(errors="replace").splitlines() if daemon else []
            message = "dockerd ended" if ended else f"the engine did not answer within {TIMEOUT} s"
            cause = "not known; this is the end of its log"
            hint = "start it yourself for the whole output: dockerd"
            raise PrerequisiteError(message, cause=cause, hint=hint, log="\n".join(lines[-25:]))
        time.sleep(PAUSE)
