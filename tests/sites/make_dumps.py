"""Make the reference dumps of these sites: `python tests/sites/make_dumps.py SITE PYTHON`.

PYTHON is a Python with what the site's requirements name. Each site fills an empty database with its own command
(`manage.py fill_...`: all invented, the same every time), and this packs it as such a site would:

- bookshop: `pg_dump` of the image postgres:17, run in the server's container, then gzip;
- museum: the SQLite file, in gzip;
- parish: `.dump` of SQLite's shell, in gzip, under the day's name, with the link beside it.
"""

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SITES = Path(__file__).parent


def main(site, python):
    MAKERS[site](python)


def bookshop(python):
    folder = SITES / "bookshop"
    start = [
        "docker", "run", "--detach", "--rm", "--publish", "127.0.0.1::5432",
        "--env", "POSTGRES_USER=bookshop", "--env", "POSTGRES_PASSWORD=bookshop",
        "--env", "POSTGRES_DB=bookshop", "postgres:17",
    ]  # fmt: skip
    server = output(*start)
    try:
        ready = ["docker", "exec", server, "pg_isready", "--host=127.0.0.1", "--username=bookshop"]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            time.sleep(0.2)
        port = output("docker", "port", server, "5432").rpartition(":")[2]
        manage(
            folder, python, "fill_catalogue",
            SECRET_KEY="x", POSTGRES_PASSWORD="bookshop", POSTGRES_HOST="127.0.0.1", POSTGRES_PORT=port,
        )  # fmt: skip
        dump = subprocess.run(
            ["docker", "exec", server, "pg_dump", "--username=bookshop", "bookshop"],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", server], capture_output=True, check=True)
    pack(dump, folder / "database/bookshop.sql.gz")


def museum(python):
    folder = SITES / "museum"
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "museum.sqlite3")
        manage(
            folder / "apps/website", python, "fill_museum",
            DJANGO_SETTINGS_MODULE="museum.settings.local", DATABASE_URL=f"sqlite:///{file}",
        )  # fmt: skip
        subprocess.run(["sqlite3", file, "VACUUM"], check=True)
        pack(file.read_bytes(), folder / "data/museum.sqlite3.gz")


def parish(python):
    folder = SITES / "parish"
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "parish.db")
        variables = dict(
            line.split("=", 1) for line in (folder / ".env").read_text(encoding="utf-8").splitlines() if "=" in line
        )
        manage(folder, python, "fill_parish", **{**variables, "PARISH_DATABASE": str(file)})
        dump = subprocess.run(["sqlite3", file, ".dump"], capture_output=True, check=True).stdout
    name = "parish-2026-11-08.sql.gz"
    pack(dump, folder / "backups" / name)
    link = folder / "backups/latest.sql.gz"
    link.unlink(missing_ok=True)
    link.symlink_to(name)


MAKERS = {"bookshop": bookshop, "museum": museum, "parish": parish}


def manage(folder, python, command, **variables):
    """Run the migrations, then the command that fills the database."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    for each in (["migrate", "--verbosity=0"], [command]):
        subprocess.run([shutil.which(python), "manage.py", *each], cwd=folder, env=environment, check=True)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def pack(content, file):
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(content, 9, mtime=0))
    print(f"{file.relative_to(SITES)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
