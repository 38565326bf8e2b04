"""The environments of compose as the settings and the repository's own compose files make them, unstarted."""

from __future__ import annotations

import socket
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haybale.adoption.site_image import read_dockerfile
from haybale.doctor.addresses import check_addresses
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.site import missing_variable, required_variables
from haybale.errors import HaybaleError
from haybale.image_ref import RELEASE
from haybale.images.stack import compose_project, unset_variables
from haybale.images.stages import find_stage
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haybale.config import Project, StepSettings
    from haybale.doctor.site import SiteFiles

# The environments that compose makes, and in each the service that is the site, with its step.
SITE_SERVICES = {"solr": ("loader", "index"), "ci": ("web", "release")}

# Ports below are the system's: whether one is taken only root can try.
FIRST_PORT = 1024


@dataclass(frozen=True, kw_only=True)
class Published:
    """A port that a service publishes on this machine."""

    service: str
    host: str
    port: int


def examine_services(files: SiteFiles, env: Mapping[str, str]) -> Diagnosis:
    """Ask compose for both environments, and look at what they take of this machine and give to the site."""
    project = files.project
    findings: list[Finding] = []
    if process.find_executable("docker") is None:
        return Diagnosis(subject="environments", seen="not known without docker")
    missing: dict[str, dict[str, str]] = {}
    for kind, (service, step) in SITE_SERVICES.items():
        try:
            read = read_environment(project, kind, env)
        except HaybaleError as error:
            findings.append(Finding.from_error(error))
            continue
        setting = f"compose.{kind}"
        findings += check_ports(read, setting, is_port_free)
        findings += check_names(read, setting)
        given = {*((read["services"].get(service) or {}).get("environment") or ()), *image_variables(project)}
        own: StepSettings = getattr(project.settings.site, step)
        needed = required_variables(files, own.settings)
        missing[step] = {name: place for name, place in needed.items() if name not in given}
    findings += _check_variables(missing)
    findings += check_addresses(files)
    named = (project.settings.compose.solr, project.settings.compose.ci)
    own_files = dict.fromkeys(name for name in named if name)
    seen = f"haybale's own, with {', '.join(own_files)}" if own_files else "haybale's own"
    return Diagnosis(subject="environments", seen=seen, findings=tuple(dict.fromkeys(findings)))


def _check_variables(missing: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Yield what each step lacks, a variable once."""
    steps: dict[tuple[str, str], list[str]] = {}
    for step, variables in missing.items():
        for name, place in variables.items():
            steps.setdefault((name, place), []).append(step)
    for (name, place), lacking in steps.items():
        yield missing_variable(name, place, lacking)


def read_environment(project: Project, kind: str, env: Mapping[str, str]) -> dict[str, Any]:
    """Return what compose makes of an environment's files; nothing is left on disk.

    Raises `ServiceError` where compose cannot read them, `ConfigError` for what settings name.
    """
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        # There are files to write; `origin` says where.
        elsewhere = replace(project, origin=Path(folder))
        services = compose_project(elsewhere, kind, None, unset_variables(elsewhere), env)
        return services.read_merged()


def image_variables(project: Project) -> set[str]:
    """Return the names of the variables that the release stage sets; its base may set others."""
    try:
        source = find_stage(project, RELEASE)
    except HaybaleError:
        return set()
    read = read_dockerfile("Dockerfile", source.text)
    stage = next((each for each in read.stages if each.name == source.target), None) if read else None
    return {*stage.environment} if stage else set()


def published_ports(read: Mapping[str, Any]) -> Iterator[Published]:
    """Yield the ports of this machine that the services want; those that the engine chooses are none."""
    for name, service in read["services"].items():
        for each in service.get("ports") or ():
            first, _, last = str(each.get("published") or "").partition("-")
            for port in range(int(first), int(last or first) + 1) if first.isdecimal() else ():
                yield Published(service=name, host=each.get("host_ip") or "0.0.0.0", port=port)  # noqa: S104 - compose's default


def check_ports(
    read: Mapping[str, Any], setting: str, is_free: Callable[[str, int], bool]
) -> Iterator[Finding]:
    """Yield the ports that services publish and somebody else has."""
    for each in published_ports(read):
        if each.port and not is_free(each.host, each.port):
            variable = "WEB_PORT" if each.service == "web" else None
            yield Finding(
                level="error",
                what=f"the service {each.service} publishes the port {each.port}, which is taken here",
                why="its container does not start",
                fix=f"remove the port from the file of {setting} (haybale finds a free one), or free it"
                + (f"; or {variable}=ANOTHER" if variable else ""),
            )


def check_names(read: Mapping[str, Any], setting: str) -> Iterator[Finding]:
    """Yield the services whose containers have a name of their own."""
    for name, service in read["services"].items():
        if service.get("container_name"):
            yield Finding(
                level="warning",
                what=f"the service {name} has container_name: {service['container_name']} ({setting})",
                why="two runs at once, or a run beside your own services, cannot both have that name",
                fix=f"remove container_name from the file of {setting}",
            )


def is_port_free(host: str, port: int) -> bool:
    """Whether nobody on this machine listens at a port; one that only root may use is taken to be free."""
    if port < FIRST_PORT:
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as tried:
            # As the engine does: a connection that was just closed takes no port.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError:
        return False
    return True
