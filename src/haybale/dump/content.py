"""What a dump's file holds, whatever it is packed in: one stream of bytes, or a folder of files."""

from __future__ import annotations

import contextlib
import errno
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from haybale.dump.limits import Limits, raise_if_larger
from haybale.errors import DumpError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Bytes read at once, and bytes that are enough to recognise a dump.
CHUNK = 1 << 20
START = 8192

# What the readers of archives raise on damaged ones. zipfile also stumbles over wrong directories.
DAMAGE_ERRORS = (
    EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile, tarfile.TarError,
    struct.error, ValueError, IndexError, OverflowError,
)  # fmt: skip

# What the decompressors say of what is sound and can't be read.
UNUSUAL = ("too much memory", "unsupported", "not supported", "dictionary", "memory usage limit")

FETCH_HINT = "fetch the dump again"
REPACK_HINT = "make the archive again, with the database alone in it"


class Readable(Protocol):
    """What gives up to `size` bytes, b"" at its end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


class Stream:
    """The content of a dump's file, or of one file in its folder, read in pieces.

    `file` is the dump's own file, `size` the declared size in bytes (None where none is declared),
    `is_packed` whether the content comes out of an archive, and `limits` what it may take.

    zipfile gives no more than is declared (a small archive cannot fill the disk) and checks the sum of what
    it gave, but does not notice when that is less.
    """

    def __init__(
        self, file: Path, content: Readable, size: int | None, limits: Limits, *, is_packed: bool = False
    ) -> None:
        self.file, self.size, self.is_packed, self._limits = file, size, is_packed, limits
        self._content, self._position, self._ahead = content, 0, b""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end; raises `DumpError` where it is damaged, or too large."""
        if self._ahead:
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
            return chunk
        with explain_damage(self.file):
            chunk = self._content.read(size)
        self._position += len(chunk)
        raise_if_larger(self.file, self._position, self._limits)
        if not chunk and self.size is not None and self._position < self.size:
            raise wrong_declared_size(self.file, self.size, f"holds {self._position}")
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """Yield everything in pieces."""
        while chunk := self.read(CHUNK):
            yield chunk

    def peek(self, size: int = START) -> bytes:
        """Return the next `size` bytes, or all that there are; they will be read again."""
        read = b""
        while len(read) < size and (chunk := self.read(size - len(read))):
            read += chunk
        self._ahead = read + self._ahead
        return read


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A dump that is a folder: its own file, and its members in the order in which they are packed."""

    file: Path
    members: Iterator[tuple[str, Stream]]


@dataclass(frozen=True, kw_only=True)
class WithSidecars:
    """A dump that is a file and what lies beside it: its own file, and its members in any order.

    A member's name is what its file's name has more than the dump's: "" for that, "-wal" and the like.
    """

    file: Path
    members: Iterator[tuple[str, Stream]]


@contextlib.contextmanager
def explain_damage(file: Path) -> Iterator[None]:
    """Raise `DumpError` for what a reader of archives raises."""
    try:
        yield
    except NotImplementedError as error:
        raise unusual_packing(file, str(error)) from error
    except (*DAMAGE_ERRORS, OSError) as error:
        # bz2 and negative offsets give an OSError too; a real one has another number.
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        if any(words in str(error).lower() for words in UNUSUAL):
            raise unusual_packing(file, str(error)) from error
        raise damaged(f"{file} is damaged: {error}") from error


def damaged(message: str) -> DumpError:
    """Return the error for a dump that is not as it was made."""
    return DumpError(message, cause="reading it says that, and nothing of it is used", hint=FETCH_HINT)


def unusual_packing(file: Path, why: str) -> DumpError:
    """Return the error for an archive that cannot be read, damaged or not."""
    cause = "reading it says that: its form is one that is not read here"
    return DumpError(f"{file} cannot be read: {why}", cause=cause, hint=f"{REPACK_HINT} (zip -9)")


def wrong_declared_size(file: Path, declared: int, found: str) -> DumpError:
    """Return the error for a file that is not as long as it declares."""
    message = f"{file} lies about its size: it declares {declared} bytes, and {found}"
    cause = "so nothing says how much there is to unpack, and none of it is"
    return DumpError(message, cause=cause, hint=FETCH_HINT)
