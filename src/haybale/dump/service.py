"""What the compose environments need of the site's database: the variables of docker-compose.database.yml."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from haybale.dump.reference import Unpacked, resolve_dump, unpack
from haybale.errors import ConfigError
from haybale.files import write_atomically
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from haybale.checkout import Checkout
    from haybale.config import Project


def unpack_dump(project: Project) -> Unpacked:
    """Check and unpack the reference dump; raises `DumpError`."""
    return unpack(resolve_dump(project.home, project.settings.dump), project.scratch / "dump")


def database_variables(checkout: Checkout, unpacked: Unpacked, say: Callable[[str], None]) -> dict[str, str]:
    """Return the variables of docker-compose.database.yml; a server that the dump needs is made available.

    Raises `ConfigError` where a fixture is missing, `DumpError` where the server is older than the dump.
    """
    database, fixtures = unpacked.database, copy_fixtures(checkout.project)
    image, profile = checkout.stage_image("release"), ""
    configured = database.server_image(checkout.settings.images)
    if configured and database.image_setting:
        image, profile = ImageRef.parse(configured), database.name
        ensure_base_image(image, database.image_setting, checkout.env, say)
        database.check_server(image, unpacked.server)
    return {
        "COMPOSE_PROFILES": profile,
        "HAYBALE_DATABASE_IMAGE": str(image),
        "HAYBALE_DATABASE_URL": database.url,
        "HAYBALE_DUMP": str(unpacked.path),
        "HAYBALE_DUMP_FORMAT": unpacked.format,
        "HAYBALE_FIXTURES": str(fixtures),
    }


def copy_fixtures(project: Project) -> Path:
    """Copy the fixtures to where the site's user can read them, each to FOLDER/NUMBER/; return the folder.

    Other fixtures get another folder. Raises `ConfigError` where one is not a file.
    """
    contents: list[tuple[str, bytes]] = []
    for name in project.settings.fixtures:
        file = project.root / name
        if not file.is_file():
            raise ConfigError(
                f"{file} is not a file",
                cause="the setting `fixtures` names it, for Django's loaddata",
                hint="restore it, or correct the setting",
            )
        contents.append((file.name, file.read_bytes()))
    digests = [(name, hashlib.sha256(content).hexdigest()) for name, content in contents]
    folder = project.scratch / "fixtures" / hashlib.sha256(repr(digests).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, content) in enumerate(contents, start=1):
        write_atomically(folder / f"{number:03}" / name, content)
    for each in (folder, *folder.iterdir()):
        each.chmod(0o755)
    return folder
