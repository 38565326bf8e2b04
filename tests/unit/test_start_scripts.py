"""What an image is started with: the repository's scripts, their variables, their port."""

from __future__ import annotations

import pytest

from haybale.adoption.site_image import read_dockerfile
from haybale.adoption.start_scripts import find_port, find_scripts, needed_variables, source_of

DOCKERFILE = (
    "FROM python:3.13\nARG RUN=deploy/dev.sh\nWORKDIR /app\nCOPY ./docker/entrypoint /entrypoint\n"
    "COPY ${RUN} /etc/service/run\nCOPY scripts /opt/scripts/\nCOPY bin/wait.sh /usr/bin/\nCOPY . .\n"
    'ENTRYPOINT ["/entrypoint"]\n'
)
FILES = {"docker/entrypoint", "deploy/dev.sh", "scripts/a/b.sh", "bin/wait.sh", "start.sh"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/entrypoint", "docker/entrypoint"),
        ("/etc/service/run", "deploy/dev.sh"),
        ("/opt/scripts/a/b.sh", "scripts/a/b.sh"),
        ("/usr/bin/wait.sh", "bin/wait.sh"),
        ("/app/start.sh", "start.sh"),
        ("start.sh", "start.sh"),
        ("/usr/bin/gunicorn", None),
    ],
)
def test_source_of_follows_copies(path: str, source: str | None) -> None:
    dockerfile = read_dockerfile("Dockerfile", DOCKERFILE)
    assert dockerfile is not None
    assert source_of(dockerfile.release, path, FILES) == source


def test_find_scripts_are_those_of_the_entrypoint_and_of_the_command() -> None:
    dockerfile = read_dockerfile("Dockerfile", DOCKERFILE)
    assert dockerfile is not None
    found = find_scripts(dockerfile.release, "sh ./start.sh --now", FILES)
    assert [*found] == ["docker/entrypoint", "start.sh"]
    assert [*find_scripts(dockerfile.release, "sh 'unfinished", FILES)] == ["docker/entrypoint"]


def test_needed_variables_are_those_without_a_default() -> None:
    text = (
        "#!/bin/bash\nset -o errexit\nset -o nounset\n# $COMMENT\n"
        'NAME=x\nexport URL="postgres://${DB_USER}:$DB_PASSWORD@${DB_HOST:-db}/${NAME}"\n'
        'echo "$URL ${DB_USER} $HOME ${MODE:+y} ${MUST:?say it}"\n'
    )
    found = {each.name: each.place for each in needed_variables("start", text)}
    assert found == {"DB_USER": "start:6", "DB_PASSWORD": "start:6", "MUST": "start:7"}


@pytest.mark.parametrize("line", ["set -u", "set -euo pipefail", "set -e -u", "#!/bin/sh -eu"])
def test_needed_variables_where_a_script_ends_without_them(line: str) -> None:
    assert [each.name for each in needed_variables("start", f"{line}\necho $ONE\n")] == ["ONE"]
    assert not [*needed_variables("start", "set -e\necho $ONE\n")]


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("exec gunicorn config.wsgi --bind 0.0.0.0:5000", 5000),
        ("gunicorn -w 2 -b :8080 site.wsgi", 8080),
        ("uvicorn site:app --port 9000", 9000),
        ("celery worker", None),
    ],
)
def test_find_port(text: str, port: int | None) -> None:
    assert find_port(["celery", text]) == port
