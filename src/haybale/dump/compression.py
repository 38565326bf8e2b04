"""What gzip, bzip2, xz and zstd pack, read as these tools read it: every stream, and what follows."""

from __future__ import annotations

import bz2
import lzma
import re
import sys
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

# Bytes of packed data read at once, and bytes that show how a stream begins.
INPUT = 1 << 17
BEGINNING = 16

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# The first bytes of zstd's skippable frames, which pzstd puts first (RFC 8878, 3.1.2).
SKIPPABLE = rb"[\x50-\x5f]\x2a\x4d\x18"
# As `zstd --long=31` packs; what is allocated is what a frame needs.
ZSTD_OPTIONS: dict[int, int] = {
    zstd.DecompressionParameter.window_log_max: zstd.DecompressionParameter.window_log_max.bounds()[1]
}

# The header of .lzma (liblzma, alone_decoder.c): a byte of properties, the size of the dictionary, that of
# the content. It has no magic: xz takes it by these limits.
LZMA_HEADER_SIZE = 13
MOST_PROPERTIES = 9 * 5 * 5
UNKNOWN_SIZE, MOST_CONTENT = 2**64 - 1, 2**38


class Decompressor(Protocol):
    """A stream that is decompressed, as the standard library's decompressors."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether there is more only after more was given."""

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the stream's end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take packed bytes; return up to so many unpacked ones."""


class _Gzip:
    """A member of a gzip file; zlib checks its sum and size itself."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


@dataclass(frozen=True, kw_only=True)
class Compression:
    """How files are packed, and what the tool that unpacks them takes behind a stream.

    - `begins`: whether a file that begins with these bytes is packed so.
    - `follows`: whether another stream begins with these bytes.
    - `padding`: the number of zero bytes that may lie behind a stream is a multiple of this; 0 for none.
    - `ignores_rest`: whether the tool takes what it has when anything else follows.
    """

    tool: str
    open_stream: Callable[[], Decompressor]
    begins: Callable[[bytes], bool]
    follows: Callable[[bytes], bool]
    padding: int = 0
    ignores_rest: bool = False


def _has_prefix(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda start: start.startswith(prefixes)


def _is_bzip2(start: bytes) -> bool:
    return start[:3] == b"BZh" and start[3:4] in {b"%d" % level for level in range(1, 10)}


def _is_zstd(start: bytes) -> bool:
    return re.match(SKIPPABLE, start) is not None or start.startswith(ZSTD_MAGIC)


def _is_lzma(start: bytes) -> bool:
    dictionary, content = int.from_bytes(start[1:5], "little"), int.from_bytes(start[5:13], "little")
    # 2^n, or 2^n + 2^(n-1): one bit, or two side by side.
    is_usual = f"{dictionary:b}".rstrip("0") in {"1", "11"}
    return (
        len(start) >= LZMA_HEADER_SIZE
        and start[0] < MOST_PROPERTIES
        and (is_usual or dictionary == 2**32 - 1)
        and (content == UNKNOWN_SIZE or content < MOST_CONTENT)
    )


COMPRESSIONS = (
    Compression(
        tool="gzip",
        open_stream=_Gzip,
        begins=_has_prefix(b"\x1f\x8b"),
        follows=_has_prefix(b"\x1f\x8b"),
        ignores_rest=True,
    ),
    Compression(
        tool="bzip2",
        open_stream=bz2.BZ2Decompressor,
        begins=_has_prefix(b"BZh"),
        follows=_is_bzip2,
        ignores_rest=True,
    ),
    Compression(
        tool="xz",
        open_stream=lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
        begins=_has_prefix(b"\xfd7zXZ\x00"),
        follows=_has_prefix(b"\xfd7zXZ\x00"),
        padding=4,
    ),
    Compression(
        tool="zstd",
        open_stream=lambda: zstd.ZstdDecompressor(options=ZSTD_OPTIONS),
        begins=_is_zstd,
        follows=_is_zstd,
    ),
    Compression(
        tool="xz",
        open_stream=lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
        begins=_is_lzma,
        follows=lambda _: False,
    ),
)


def find_compression(start: bytes) -> Compression | None:
    """Return how a file that begins with these bytes is packed; None where it is not."""
    return next((each for each in COMPRESSIONS if each.begins(start)), None)


class Decompressed:
    """What a packed file holds, read in pieces.

    Raises `EOFError` where the file ends too early, `NotImplementedError` where something follows that the
    tool refuses, and what the decompressors raise.
    """

    def __init__(self, raw: IO[bytes], compression: Compression) -> None:
        self._raw, self._compression = raw, compression
        self._input, self._stream = b"", compression.open_stream()
        self._is_done = False

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end."""
        while not self._is_done:
            if self._stream.eof:
                self._input = self._stream.unused_data or self._input
                self._open_next()
                continue
            packed, self._input = self._input, b""
            if self._stream.needs_input and not packed and not (packed := self._raw.read(INPUT)):
                raise EOFError("it is cut off, and ends too early")
            if content := self._stream.decompress(packed, size):
                return content
        return b""

    def _open_next(self) -> None:
        """Open the stream that follows, or be done."""
        self._fill()
        zeros = 0
        while self._compression.padding and self._input.startswith(b"\0"):
            rest = self._input.lstrip(b"\0")
            zeros += len(self._input) - len(rest)
            self._input = rest
            self._fill()
        is_padded = not self._compression.padding or zeros % self._compression.padding == 0
        if is_padded and self._compression.follows(self._input):
            self._stream = self._compression.open_stream()
        elif (is_padded and not self._input) or self._compression.ignores_rest:
            self._is_done = True
        else:
            raise NotImplementedError(f"{self._compression.tool} refuses what follows its end")

    def _fill(self) -> None:
        while len(self._input) < BEGINNING and (more := self._raw.read(INPUT)):
            self._input += more
