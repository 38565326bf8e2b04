"""Everything that a site may read which is not to be seen in its code, with BARN_FAULT=strays."""

import importlib
import json
import os
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.module_loading import import_string

from barn.faults import FAULT

DATA = Path(__file__).parent / "data"
STRAY = FAULT == "strays"

# The URL patterns are imported before any document needs them, as by an AppConfig's `ready`.
EARLY_URLS = FAULT == "early-urls"
if EARLY_URLS:
    import_string("barn.urls.urlpatterns")

if STRAY:
    BREEDS = json.loads((DATA / "breeds.json").read_text())
    RANK = import_string("barn.early.rank")
    import_string("barn.idle.rest")


def topics() -> None:
    """Read a file of the site, one of the system, none, and one of its own."""
    json.loads((DATA / "prices.json").read_text())
    Path("/proc/self/status").read_text()
    (DATA / "missing.json").exists()
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "own")
        own.write_text("mine")
        own.rename(Path(folder, "renamed"))
        Path(folder, "renamed").read_text()


def code(row: Any) -> None:
    """Run code that is found by name, and a model's that is named by a text."""
    importlib.import_module("barn." + "late").weigh(row)
    RANK(row)
    str(row.farm.owner)
    address(row)


def address(row: Any) -> None:
    """Ask for a page's address."""
    reverse("bale", args=[row.pk])


def label(row: Any) -> None:
    """Render a template that is no document's."""
    render_to_string("barn/label.txt", {"row": row})


def outside() -> None:
    """Ask a server, a program and a database."""
    with socket.create_connection(("localhost", int(os.environ["BARN_PORT"]))):
        pass
    subprocess.run(["true"], check=True)
    sqlite3.connect(os.environ["BARN_OTHER"]).close()
    sqlite3.connect(":memory:").close()
    sqlite3.connect(os.environ["BARN_DATABASE"]).close()
