"""What haybale needs to know of a database: all that differs between SQLite, PostgreSQL and another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from haybale.config import DatabaseSettings, ImageSettings
    from haybale.dump.content import Stream
    from haybale.dump.limits import Limits
    from haybale.dump.psql_script import ScriptContents
    from haybale.image_ref import ImageRef


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a dump is: of which database, in which of its formats, and which server it needs.

    `server` is a major version, None where no server is needed or the dump does not say.
    """

    database: Database
    format: str
    server: int | None = None


class Database(Protocol):
    """A database that dumps are of. Its methods raise `DumpError`s that name the dump's file.

    - `name`: for notes and messages; of one with a server, also the profile of database.yml.
    - `formats`: what its dumps may be; a format belongs to one database alone.
    - `suffixes`: how the name of its file ends in an archive.
    - `folder_marker`: the file that says what a dump that is a folder holds; None where no dump is one.
    - `image_setting`: the setting in `images` that names its server's image; None where it has no server.
    """

    name: str
    formats: tuple[str, ...]
    suffixes: tuple[str, ...]
    folder_marker: str | None = None
    image_setting: str | None = None

    def url(self, settings: DatabaseSettings) -> str:
        """Return where the site finds it (scheme://USER:PASSWORD@HOST:PORT/NAME, or sqlite:///PATH)."""

    def recognise(self, file: Path, start: bytes, *, is_folder: bool) -> Recognised | None:
        """Return what begins with these bytes, None where it is no dump of this database.

        Of a dump that is a folder, `start` is the beginning of its `folder_marker`.
        """

    def sidecars(self, format_: str) -> tuple[str, ...]:
        """Return what the names of files that belong to a dump have more than its own."""
        del format_
        return ()

    def expected_size(self, stream: Stream, format_: str) -> int | None:
        """Return how many bytes a dump has, None where that is not known yet."""
        del format_
        return stream.size

    def read(self, stream: Stream, format_: str) -> Iterator[bytes]:
        """Yield a dump in pieces, and check on the way that it is whole."""

    def prepare(self, file: Path, path: Path, format_: str, limits: Limits) -> str:
        """Make of what was unpacked to `path` what `restore` takes, check it, and return its format."""
        del file, path, limits
        return format_

    def server_image(self, images: ImageSettings) -> str | None:
        """Return the image of the server that a dump is restored to, as configured; None for none."""
        return str(getattr(images, self.image_setting)) if self.image_setting else None

    def check_server(self, image: ImageRef, wanted: int | None) -> None:
        """Check that an image has a server that takes dumps which need the major version `wanted`."""
        del image, wanted

    def read_contents(self, image: ImageRef, path: Path, format_: str) -> ScriptContents | None:
        """Return the tables and rows of the unpacked dump at `path`; None where nothing is restored from it.

        `image` is the server's.
        """
        del image, path, format_
        return None
