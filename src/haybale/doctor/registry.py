"""The registry of a site's images, and whether there is a login for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.doctor.finding import Diagnosis, Finding
from haybale.errors import HaybaleError
from haybale.image_ref import ImageRef
from haybale.tools.registry.credentials import find_login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project


def examine_registry(project: Project, env: Mapping[str, str]) -> Diagnosis:
    """Look for a login for the registry, where there is one; it is not asked."""
    if project.settings.local:
        return Diagnosis(subject="registry", seen="none: images stay on the engine")
    host = ImageRef.parse(project.settings.registry).domain
    try:
        login = find_login(host, env)
    except HaybaleError as error:
        return Diagnosis(subject="registry", seen=host, findings=(Finding.from_error(error),))
    if login is None:
        finding = Finding(
            level="warning",
            what=f"there is no login for {host}",
            why="it may let nobody push without one",
            fix=f"docker login {host}; or, where images are to stay on this engine, local = true",
        )
        return Diagnosis(subject="registry", seen=f"{host}, no login", findings=(finding,))
    return Diagnosis(subject="registry", seen=f"{host}, with the login of {login.source}")
