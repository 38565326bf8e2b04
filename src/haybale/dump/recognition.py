"""Which database a dump is of, by its first bytes, never by its name; and what is taken for a dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.dump.content import FETCH_HINT, REPACK_HINT, Stream
from haybale.dump.postgresql import PostgreSQL
from haybale.dump.sqlite import SQLite
from haybale.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.dump.database import Database, Recognised

# SQLite comes last: the SQL that it recognises may be any database's.
DATABASES: tuple[Database, ...] = (PostgreSQL(), SQLite())

SUFFIXES = tuple(dict.fromkeys(suffix for each in DATABASES for suffix in each.suffixes))
FOLDER_MARKERS = tuple(each.folder_marker for each in DATABASES if each.folder_marker)

WEB_PAGE = "a web page"
MYSQL = "a MySQL dump"

# What is sometimes there in place of a dump, by its first bytes, in small letters and without blanks.
SIGNATURES = (
    ((b"<!doctype", b"<html", b"<?xml", b"<head"), WEB_PAGE),
    ((b"{",), "JSON"),
    ((b"7z\xbc\xaf\x27\x1c",), "a 7-Zip archive"),
    ((b"--\n-- postgresql database cluster",), "a PostgreSQL dump of a whole server (pg_dumpall)"),
    ((b"-- mysql", b"-- mariadb", b"/*m!", b"/*!"), MYSQL),
    ((b"pk\x03\x04", b"\x1f\x8b", b"bzh", b"\xfd7zxz\x00", b"\x28\xb5\x2f\xfd"), "another archive"),
)
LFS_POINTER = b"version https://git-lfs"


def find_database(file: Path, start: bytes) -> Recognised | None:
    """Return what begins with these bytes, None for no dump; raises `DumpError` for a damaged one."""
    if describe_foreign(start):
        return None
    return next(
        (found for each in DATABASES if (found := each.recognise(file, start, is_folder=False))), None
    )


def describe_foreign(start: bytes) -> str | None:
    """Return what begins with these bytes and is no dump; None where that is not known."""
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((what for prefixes, what in SIGNATURES if start.startswith(prefixes)), None)


def recognise(stream: Stream) -> Recognised:
    """Return what a stream holds; raises `DumpError` where that is no dump."""
    file, start = stream.file, stream.peek()
    if found := find_database(file, start):
        return found
    what, hint = describe_foreign(start), FETCH_HINT
    if stream.is_packed and not start:
        message, cause, hint = "holds an empty database", "dumping it failed", "dump it again"
    elif what == MYSQL:
        message, cause = f"is {what}", "only dumps of PostgreSQL and SQLite can be restored"
        hint = "dump the site's data from PostgreSQL or SQLite, where the site runs on one of these too"
    elif stream.is_packed:
        message, hint = "holds no database", REPACK_HINT
        cause = f"what it holds is {what}" if what else "its first bytes are not those of one"
    elif start.startswith(LFS_POINTER):
        message, cause = "is a Git LFS pointer, not the dump itself", "it was not fetched"
        hint = "git lfs pull"
    elif what == WEB_PAGE:
        message = f"is {what}, not a dump"
        cause = "a download was answered with an error page, and that was saved"
    else:
        message = f"is {what or 'neither an archive nor a database'}" if start else "is empty"
        cause = (
            "a dump is an SQLite database, its SQL, or what pg_dump makes; as it is, or packed by zip, gzip,"
            " bzip2, xz or zstd"
        )
    raise DumpError(f"{file} {message}", cause=cause, hint=hint)
