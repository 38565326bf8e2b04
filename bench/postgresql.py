"""The corpus in a PostgreSQL server of the benchmark's own."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import docker

from bench import corpus
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the site calls the server, and where its database is.
NAME = "postgres"
URL = f"postgresql://site:only-here@{NAME}:5432/site"

# Seconds that the server gets to answer, and between two tries.
TIMEOUT = 120
PAUSE = 0.2


@contextlib.contextmanager
def running_server(image: str, size: int, folder: Path, label: tuple[str, str]) -> Iterator[str]:
    """Run a server with a corpus of `size` documents for the length of the block; yield its container."""
    rows = folder / "notes.csv"
    corpus.write_rows(rows, size)
    rows.chmod(0o644)
    client = docker.from_env()
    server = client.containers.run(
        image,
        ["postgres", "-c", "fsync=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0"],
        environment={"POSTGRES_USER": "site", "POSTGRES_PASSWORD": "only-here", "POSTGRES_DB": "site"},
        labels=dict([label]),
        volumes={str(rows): {"bind": "/notes.csv", "mode": "ro"}},
        detach=True,
    )
    try:
        end = time.monotonic() + TIMEOUT
        while server.exec_run(["pg_isready", "--host=127.0.0.1", "--quiet"]).exit_code:
            if time.monotonic() > end:
                raise SystemExit(f"the server did not answer within {TIMEOUT} s")
            time.sleep(PAUSE)
        table = corpus.TABLE.format(time="timestamp with time zone")
        for statement in (table, "COPY notes_note FROM '/notes.csv' CSV", "ANALYZE notes_note"):
            code, output = server.exec_run(["psql", "-U", "site", "-v", "ON_ERROR_STOP=1", "-c", statement])
            if code:
                raise SystemExit(str(output))
        yield str(server.id)
    finally:
        with process.uninterrupted():
            server.remove(force=True, v=True)
            client.close()
