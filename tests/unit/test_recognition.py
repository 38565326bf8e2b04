"""Which databases there are, and what is taken for a dump."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from haybale.config import ImageSettings
from haybale.dump.recognition import DATABASES, describe_foreign, find_database
from haybale.errors import DumpError
from haybale.images.stack import DATABASE_FILE, SERVICES

COMPOSE_FILE = SERVICES / DATABASE_FILE
FILE = Path("dump")


def test_databases_share_no_name_and_no_format() -> None:
    names = [each.name for each in DATABASES]
    formats = list(chain.from_iterable(each.formats for each in DATABASES))
    assert len(set(names)) == len(names)
    assert len(set(formats)) == len(formats)


def test_databases_with_a_server_have_a_profile() -> None:
    images = ImageSettings()
    profiles = {each.name for each in DATABASES if each.server_image(images)}
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    assert profiles
    assert all(f"profiles: [{name}]" in text for name in profiles)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"SQLite format 3\0", "sqlite"),
        (b"\xef\xbb\xbf\nPRAGMA foreign_keys=OFF;\n", "sqlite"),
        (b"--\n-- PostgreSQL database dump\n--\n", "postgresql"),
        (b"--\r\n-- PostgreSQL database dump\r\n--\r\n", "postgresql"),
        (
            b"pg_dump: warning: x\nSET a.b = 1;\n\\restrict x\n--\n-- PostgreSQL database dump\n--\n",
            "postgresql",
        ),
        (b"Password: \r\n--\r\n-- PostgreSQL database dump\r\n", "postgresql"),
        (b"INSERT INTO a VALUES ('\n-- PostgreSQL database dump\n');\n", "sqlite"),
        (b"-- anything\n", "sqlite"),
        (b"create/\0\0", None),
        (b"hello", None),
        (b"-- MySQL dump 10.13\n", None),
    ],
)
def test_find_database_goes_by_the_first_bytes(start: bytes, name: str | None) -> None:
    found = find_database(FILE, start)
    assert (found and found.database.name) == name


def test_describe_foreign_knows_other_archives() -> None:
    for magic in (b"PK\x03\x04", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"):
        assert describe_foreign(magic) == "another archive"
    assert describe_foreign(b"hello") is None


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"Password: \r\n--\r\n-- PostgreSQL database cluster dump\r\n", "whole server"),
        ("\ufeff--\n-- PostgreSQL database dump\n".encode("utf-16-le"), "is UTF-16"),
    ],
)
def test_find_database_refuses_what_psql_does_not_restore(start: bytes, message: str) -> None:
    with pytest.raises(DumpError, match=message):
        find_database(FILE, start)
