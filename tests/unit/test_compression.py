"""Packed files are read as the tools do it.

The table was made with gzip 1.12, bzip2 1.0.8, xz 5.4.1 and zstd 1.5.4 (`TOOL -dc FILE`): what they print,
None where they end with an error.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import sys

import pytest

from haybale.dump.compression import Decompressed, find_compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"line %d\n" % number for number in range(3000))
GZIP, BZIP2, XZ, ZSTD = (
    gzip.compress(TEXT, mtime=0),
    bz2.compress(TEXT),
    lzma.compress(TEXT),
    zstd.compress(TEXT),
)
LZMA = lzma.compress(TEXT, lzma.FORMAT_ALONE)
SKIPPABLE = struct.pack("<II", 0x184D2A53, 5) + b"hello"
LONG = zstd.compress(
    TEXT, options={zstd.CompressionParameter.window_log: 31, zstd.CompressionParameter.content_size_flag: 0}
)


def read_all(opened: Decompressed) -> bytes:
    return b"".join(iter(lambda: opened.read(1000), b""))


@pytest.mark.parametrize(
    ("packed", "content"),
    [
        (GZIP + b"garbage", TEXT),
        (GZIP + bytes(700), TEXT),
        (GZIP + gzip.compress(b"") + GZIP, TEXT * 2),
        (GZIP + bytes(4) + GZIP, TEXT),
        (BZIP2 + b"garbage", TEXT),
        (BZIP2 + BZIP2, TEXT * 2),
        (BZIP2 + bytes(4) + BZIP2, TEXT),
        (XZ + bytes(4) + XZ + bytes(1 << 20), TEXT * 2),
        (XZ + bytes(3), None),
        (XZ + b"garbage", None),
        (LZMA, TEXT),
        (LZMA + bytes(4), None),
        (ZSTD + ZSTD, TEXT * 2),
        (SKIPPABLE + ZSTD + SKIPPABLE, TEXT),
        (zstd.compress(b"") + ZSTD, TEXT),
        (LONG, TEXT),
        (ZSTD + b"garbage", None),
        (ZSTD + bytes(4), None),
    ],
)
def test_decompressed_gives_what_the_tool_gives(packed: bytes, content: bytes | None) -> None:
    compression = find_compression(packed[:100])
    assert compression is not None
    opened = Decompressed(io.BytesIO(packed), compression)
    if content is None:
        with pytest.raises(NotImplementedError, match="refuses what follows its end"):
            read_all(opened)
    else:
        assert read_all(opened) == content


@pytest.mark.parametrize("packed", [GZIP, BZIP2, XZ, LZMA, ZSTD, LONG])
def test_decompressed_notices_an_early_end(packed: bytes) -> None:
    compression = find_compression(packed[:100])
    assert compression is not None
    opened = Decompressed(io.BytesIO(packed[:-12]), compression)
    with pytest.raises(EOFError):
        read_all(opened)


@pytest.mark.parametrize("start", [b"SQLite format 3\0", b"PGDMP\1\x10\0\4\10\1", b"-- text", b"", b"]"])
def test_find_compression_takes_nothing_else(start: bytes) -> None:
    assert find_compression(start) is None
