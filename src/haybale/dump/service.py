"""What the environments need of the site's database: the variables of images/services/database.yml."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from haybale.dump.fetching import find_dump
from haybale.dump.limits import configured_limits
from haybale.dump.reference import Unpacked, unpack
from haybale.dump.restoration import (
    code_digest,
    describe_failures,
    read_failures,
    restore_error,
    write_restore_files,
)
from haybale.errors import ConfigError, HaybaleError
from haybale.files import write_atomically
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.tools.engine.compose import Compose, Watch

# The service that makes the database of the dump.
RESTORE = "restore"

# Who runs it. A server is reached by the network; an SQLite file goes into a volume of an unknown owner.
NOBODY, ROOT = "65534:65534", "0:0"

# In the folder of what it runs: that this is whole, and what is to be said of the dump.
NOTE = "note.txt"
EMPTY_NOTE = "the dump has tables and no rows (as pg_dump --schema-only makes it)"


def unpack_dump(project: Project) -> Unpacked:
    """Check and unpack the reference dump; raises `DumpError`."""
    return unpack(find_dump(project), project.scratch / "dump", configured_limits(project.settings.database))


def database_variables(checkout: Checkout, unpacked: Unpacked, say: Callable[[str], None]) -> dict[str, str]:
    """Return the variables of database.yml; a server that the dump needs is made available.

    Raises `ConfigError` where a fixture is missing, `DumpError` where the server is older than the dump.
    """
    database, settings = unpacked.database, checkout.settings.database
    fixtures = copy_fixtures(checkout.project)
    image, profile, user = checkout.stage_image("release"), "", ROOT
    configured = database.server_image(checkout.settings.images)
    if configured and database.image_setting:
        image, profile, user = ImageRef.parse(configured), database.name, NOBODY
        ensure_base_image(image, database.image_setting, checkout.env, say)
        database.check_server(image, unpacked.server)
    restore = prepare_restore(checkout.project, unpacked, image, say)
    return {
        "COMPOSE_PROFILES": profile,
        "HAYBALE_DATABASE_IMAGE": str(image),
        "HAYBALE_DATABASE_NAME": settings.name,
        "HAYBALE_DATABASE_PASSWORD": settings.password,
        "HAYBALE_DATABASE_URL": database.url(settings),
        "HAYBALE_DATABASE_USER": settings.user,
        "HAYBALE_DUMP": str(unpacked.path),
        "HAYBALE_DUMP_FORMAT": unpacked.format,
        "HAYBALE_FIXTURES": str(fixtures),
        "HAYBALE_RESTORE": str(restore),
        "HAYBALE_RESTORE_MODE": settings.restore,
        "HAYBALE_RESTORE_USER": user,
    }


def prepare_restore(
    project: Project, unpacked: Unpacked, image: ImageRef, say: Callable[[str], None]
) -> Path:
    """Write what the service `restore` runs, by what is in the dump; return the folder.

    The same dump has the same folder, and is read once. Raises `DumpError` where it cannot be restored.
    """
    allowed = project.settings.database.extensions
    parts = (unpacked.sha256, unpacked.format, code_digest(), *sorted(allowed))
    name = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    folder = project.scratch / "restore" / name
    note = folder / NOTE
    if not note.is_file():
        contents = unpacked.database.read_contents(image, unpacked.path, unpacked.format)
        write_restore_files(folder, contents, allowed)
        is_empty = contents is not None and not contents.rows and None not in contents.tables.values()
        write_atomically(note, EMPTY_NOTE if is_empty else "")
    if noted := note.read_text(encoding="utf-8"):
        say(noted)
    return folder


@contextlib.contextmanager
def restored_database(
    services: Compose,
    say: Callable[[str], None],
    reports: Path,
    *,
    keep: bool = False,
    watch: Watch | None = None,
) -> Iterator[None]:
    """Bring the services up, for the length of the block, and say what of the dump was not restored.

    Where anything fails, the services' logs go to the folder `reports`. Raises `DumpError` where the service
    `restore` failed, else as `Compose.up`, which calls `watch`.
    """
    logs = reports / "logs"

    def explain(service: str, code: int) -> HaybaleError | None:
        mode = services.variables["HAYBALE_RESTORE_MODE"]
        return restore_error(code, services.log(service), mode) if service == RESTORE else None

    try:
        with services.up(keep=keep, explain=explain, watch=watch, logs=logs):
            for line in describe_failures(read_failures(services.log(RESTORE))):
                say(line)
            yield
    except HaybaleError as error:
        where = f"the services' logs are in {logs}"
        # Behind lines to write nothing else may stand.
        parts = (where, error.hint) if "\n" in error.hint else (error.hint, where)
        error.hint = "; ".join(filter(None, parts))
        raise


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
