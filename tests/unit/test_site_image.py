"""What is read in Dockerfiles: which stage is deployed, and what a container of it has."""

from __future__ import annotations

import pytest

from haybale.adoption.site_image import SiteDockerfile, read_dockerfile

PARISH = """\
ARG PYTHON_IMAGE=python:3.11-slim
from ${PYTHON_IMAGE} as python
ENV PYTHONUNBUFFERED 1
WORKDIR /srv
WORKDIR parish
from python as live
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 \\
    gettext && rm -rf /var/lib/apt
COPY requirements /requirements
RUN pip install -r /requirements/base.txt
COPY . .
ENV DJANGO_SETTINGS_MODULE=parish.settings PORT="8080"
USER 1000:1000
EXPOSE $PORT/tcp
CMD ["gunicorn", "--bind", "0.0.0.0:8080", "parish.wsgi"]
from live as develop
CMD python manage.py runserver
"""


def read(text: str) -> SiteDockerfile:
    found = read_dockerfile("Dockerfile", text)
    assert found is not None
    return found


def test_read_dockerfile_takes_over_what_stages_are_made_of() -> None:
    live = read(PARISH).release
    assert (live.name, live.line, live.base) == ("live", 6, "python:3.11-slim")
    assert (live.folder, live.user, live.port) == ("/srv/parish", "1000", 8080)
    assert live.command == "gunicorn --bind 0.0.0.0:8080 parish.wsgi"
    assert live.environment["DJANGO_SETTINGS_MODULE"] == "parish.settings"
    assert live.packages == ("libpq5", "gettext")
    assert "." in live.sources


@pytest.mark.parametrize(
    ("names", "release", "tester"),
    [
        (["base", "web"], "web", None),
        (["build", "production", "test"], "production", "test"),
        (["base", "ci", "prod", "dev"], "prod", "ci"),
        (["python", "live", "develop"], "live", None),
        (["node-assets", "wheels", "server"], "server", None),
        (["builder", "dev"], "dev", None),
        ([None], None, None),
        (["assets", None], None, None),
    ],
)
def test_release_and_tester_by_the_stages_names(
    names: list[str | None], release: str | None, tester: str | None
) -> None:
    lines = [f"FROM python:3.12{f' AS {name}' if name else ''}\nRUN pip install x" for name in names]
    found = read("\n".join(lines))
    assert found.release.name == release
    assert (found.tester.name if found.tester else None) == tester


@pytest.mark.parametrize(
    ("text", "is_of_site"),
    [
        ("FROM python:3.12\nRUN pip install -r requirements.txt\n", True),
        ("FROM python:3.12\nRUN uv sync --frozen\n", True),
        ("FROM own/base\nCOPY manage.py /app/\n", True),
        ("FROM solr:9\nCOPY schema.xml /conf/\n", False),
        ("FROM nginx\nRUN apt-get install -y curl\n", False),
    ],
)
def test_is_of_site(text: str, *, is_of_site: bool) -> None:
    assert read(text).is_of_site is is_of_site


def test_read_dockerfile_gives_none_for_what_is_none() -> None:
    assert read_dockerfile("Dockerfile", "# nothing\n") is None


def test_an_entrypoint_takes_the_place_of_the_command_below() -> None:
    stage = read('FROM a AS b\nCMD ["x"]\nFROM b\nENTRYPOINT ["/entry.sh"]\n').release
    assert (stage.entrypoint, stage.command) == ("/entry.sh", None)
