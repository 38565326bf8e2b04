"""A repository's compose files: the service that is the site, and those that it needs beside it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from haybale.adoption.site_image import substitute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COMPOSE_FILE = re.compile(r"(docker-)?compose([.-][\w.-]*)?\.ya?ml")
# A file of another name at the top: docker compose --file base.yml --file dev.yml.
SERVICES = re.compile(r"^services:[ \t]*(#.*)?$", re.MULTILINE)

# What starts a site, and what starts something else of its image.
STARTS_SITE = re.compile(r"runserver|gunicorn|uwsgi|uvicorn|daphne|hypercorn|waitress|granian|wsgi|asgi")
STARTS_OTHER = re.compile(
    r"celery|\bworker\b|\bbeat\b|flower|rqworker|huey|qcluster|npm|yarn|webpack|migrate"
)
SITE_NAME = re.compile(r"web|app|django|site|backend|api|server|portal|www")

# Images of services that a site talks to; its database and Solr are haybale's.
NEEDED_IMAGE = re.compile(
    r"(?:.*/)?(?P<name>redis|valkey|keydb|redis-stack(?:-server)?|memcached|rabbitmq|minio)(?:[:@].*)?"
)
# Keys of a service that make it what it is; the others are of the machine that it ran on.
KEPT_KEYS = ("image", "command", "entrypoint", "environment", "healthcheck")

SOLR_IMAGE = re.compile(r"(?:.*/)?solr:(?P<version>[0-9][\w.]*)")
POSTGRES_IMAGE = re.compile(r"(?:.*/)?(postgres|postgis|pgvector|timescaledb)(:[\w.-]+)?")

# Words in paths of files that are for something else than what is deployed.
NOT_DEPLOYED = re.compile(
    r"(?<![a-z])(dev(el(opment)?)?|tests?|ci|local|docs?|debug)(?![a-z])", re.IGNORECASE
)

# Which of several files is read first: what people run every day.
FIRST_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service of a compose file, which is `file`.

    `environment` has the values that are written down; `dockerfile` and `context` are paths from the root,
    None where it is not built; `content` is the service as it is written, for another file.
    """

    name: str
    file: str
    image: str | None = None
    context: str | None = None
    dockerfile: str | None = None
    target: str | None = None
    command: str | None = None
    port: int | None = None
    health: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_needed(self) -> bool:
        """Whether it is one that sites talk to while they answer."""
        return self.image is not None and bool(NEEDED_IMAGE.fullmatch(self.image))


class _Loader(yaml.SafeLoader):
    """Takes also what compose has of its own: `!reset` and `!override`."""


def _take_none(*_: object) -> None:
    """Take a value with a tag of compose's for none."""


_Loader.add_multi_constructor("!", _take_none)


def read_services(file: str, text: str) -> tuple[Service, ...]:
    """Return the services of a compose file; () where it is none, or not YAML."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError:
        return ()
    services = document.get("services") if isinstance(document, dict) else None
    found = services.items() if isinstance(services, dict) else ()
    return tuple(_service(str(name), file, each) for name, each in found if isinstance(each, dict))


def find_site_service(
    services: Sequence[Service], dockerfiles: Sequence[str], chosen: str | None = None
) -> Service | None:
    """Return the service that is most likely the site: built, and started as one; None where there is none.

    `dockerfiles` are those that install a site, `chosen` the one that is deployed, where that is known;
    `services` are in the order of their files.
    """
    return next(iter(find_site_services(services, dockerfiles, chosen)), None)


def find_site_services(
    services: Sequence[Service], dockerfiles: Sequence[str], chosen: str | None = None
) -> list[Service]:
    """Return the services that may be the site, the likeliest first: in several files each may say a part."""
    candidates = [
        each
        for each in services
        if (each.context is not None or STARTS_SITE.search(each.command or ""))
        and not STARTS_OTHER.search(each.command or "")
        and (each.dockerfile is None or not dockerfiles or each.dockerfile in dockerfiles)
    ]

    def likeliness(service: Service) -> tuple[bool, bool, bool, bool]:
        return (
            chosen is not None and service.dockerfile == chosen,
            bool(STARTS_SITE.search(service.command or "")),
            bool(SITE_NAME.fullmatch(service.name)),
            service.port is not None,
        )

    return sorted(candidates, key=likeliness, reverse=True)


def is_compose_file(file: str, read: Callable[[str], str]) -> bool:
    """Return whether a file is one of compose's: by its name, or at the top by what is in it."""
    name = PurePosixPath(file).name
    is_yaml = "/" not in file and name.endswith((".yml", ".yaml"))
    return bool(COMPOSE_FILE.fullmatch(name)) or (is_yaml and bool(SERVICES.search(read(file))))


def sort_files(files: Sequence[str]) -> list[str]:
    """Return compose files with what people run every day first."""

    def rank(file: str) -> tuple[int, int, str]:
        name = PurePosixPath(file).name
        return (name not in FIRST_FILES, file.count("/"), file)

    return sorted(files, key=rank)


def _service(name: str, file: str, content: Mapping[str, Any]) -> Service:
    folder = PurePosixPath(file).parent
    build = content.get("build")
    build = {"context": build} if isinstance(build, str) else build if isinstance(build, dict) else None
    context = dockerfile = None
    if build is not None:
        context = _inside(folder, str(build.get("context") or "."))
        dockerfile = _inside(PurePosixPath(context), str(build.get("dockerfile") or "Dockerfile"))
    command = _text(content.get("command"))
    health = content.get("healthcheck")
    return Service(
        name=name,
        file=file,
        image=_value(content.get("image")),
        context=context,
        dockerfile=dockerfile,
        target=_value(build.get("target")) if build else None,
        command=command,
        port=next(_ports(content), None),
        health=_text(health.get("test")) if isinstance(health, dict) else None,
        environment=dict(_environment(content.get("environment"))),
        env_files=tuple(_inside(folder, each) for each in _env_files(content.get("env_file"))),
        content={key: content[key] for key in KEPT_KEYS if key in content},
    )


def _inside(folder: PurePosixPath, path: str) -> str:
    """Return a path from the root, without `.` and `..` as far as they lead within it."""
    parts: list[str] = []
    for part in (folder / path).parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts) or "."


def _value(value: object) -> str | None:
    """Return a value with the defaults of its variables; None where one has none."""
    text = substitute(str(value), {}) if value is not None else None
    return None if text is None or "${" in text else text


def _text(value: object) -> str | None:
    """Return a command, however it is written."""
    if isinstance(value, list):
        words = [str(each) for each in value]
        return shlex.join(words[1:] if words[:1] in (["CMD"], ["CMD-SHELL"]) else words)
    return str(value).replace("$$", "$") if value is not None else None


def _environment(value: object) -> Iterator[tuple[str, str]]:
    pairs: list[tuple[str, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [
            (name, text if is_set else None) for name, is_set, text in (str(e).partition("=") for e in value)
        ]
    for name, each in pairs:
        text = str(each).lower() if isinstance(each, bool) else _value(each)
        if text is not None:
            yield str(name), text


def _env_files(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        path = each.get("path") if isinstance(each, dict) else each
        text = _value(path)
        if text:
            yield text


def _ports(content: Mapping[str, Any]) -> Iterator[int]:
    """Yield the ports of the container that are published or exposed."""
    for key in ("ports", "expose"):
        for each in content.get(key) or ():
            text = str(each.get("target")) if isinstance(each, dict) else (_value(each) or "")
            port = text.rpartition(":")[2].partition("/")[0]
            if port.isdigit():
                yield int(port)
