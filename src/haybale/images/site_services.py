"""What the settings say of the site's containers: one more compose file, over those of services/.

The site's variables have placeholders for what haybale alone knows: where the database of the dump is, which
Solr has the index.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from haybale.addresses import POSTGRESQL_HOST, SERVICES, SITE_HOST, SOLR_HOST, SOLR_PORT, plan_routes
from haybale.config import PLACEHOLDER, USUAL_ENVIRONMENT, place_of
from haybale.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from haybale.config import Project, SiteSettings, StepSettings

# Where the compose files put things.
DATA = "/data"
SQLITE_PATH = f"{DATA}/db.sqlite3"
SQLITE_URL = f"sqlite:///{SQLITE_PATH}"
REPORTS = "/reports"

# A further name of each service, that is the service's whatever names the site's container takes for itself.
CERTAIN_NAME = "{}.haybale"

# The network that a service has in common with the site's containers.
NETWORKS = {SOLR_HOST: "search", POSTGRESQL_HOST: "database"}

# What a container does that others run commands in.
WAIT = ("sleep", "infinity")

# Django's backends, by the scheme of a database's URL.
ENGINES = {
    "sqlite": "django.db.backends.sqlite3",
    "postgresql": "django.db.backends.postgresql",
}

ESCAPED = re.compile(r"\{\{([a-z][a-z_]*)\}\}")

SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"

# What asks the site whether it is up, in its container: any Python will do. Redirects are answers.
HEALTH_CHECK = """
import http.client, json, sys
port, path, status, headers = json.loads(sys.argv[1])
site = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
site.request("GET", path, headers=headers)
answer = site.getresponse().status
sys.exit(f"{path} answered {answer}" if answer != status and (status or answer >= 500) else 0)
"""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What haybale knows of a run.

    The URL of the database, the first core (or what stands for it), and what starts the release image:
    entry point and command.
    """

    database_url: str
    core: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def placeholders(self, site: SiteSettings) -> dict[str, str]:
        """Return the value of each of `config.PLACEHOLDERS`."""
        parts = urlsplit(self.database_url)
        base = f"http://{SOLR_HOST}:{SOLR_PORT}/solr"
        is_file = parts.scheme == "sqlite"
        return {
            "database_url": self.database_url,
            "database_engine": ENGINES[parts.scheme],
            "database_host": parts.hostname or "",
            "database_port": str(parts.port or ""),
            "database_name": SQLITE_PATH if is_file else unquote(parts.path.lstrip("/")),
            "database_user": unquote(parts.username or ""),
            "database_password": unquote(parts.password or ""),
            "sqlite_path": SQLITE_PATH,
            "solr_url": f"{base}/{self.core}",
            "solr_base_url": base,
            "solr_host": SOLR_HOST,
            "solr_port": str(SOLR_PORT),
            "core": self.core,
            "site_url": f"http://{SITE_HOST}:{site.port}",
            "site_host": SITE_HOST,
        }


def expand(value: str, placeholders: Mapping[str, str]) -> str:
    """Return a variable's value with its placeholders replaced, and {{word}} as {word}."""
    return ESCAPED.sub(r"{\1}", PLACEHOLDER.sub(lambda found: placeholders.get(found[1], found[0]), value))


def site_environment(project: Project, step: StepSettings) -> dict[str, str]:
    """Return the variables of the site in a step, with placeholders; the secrets are not among them.

    From the weakest to the strongest: the usual ones, `environment_files`, `environment`, the step's own.
    Raises `ConfigError` for a file that cannot be read, with the line that is none.
    """
    site = project.settings.site
    settings = step.settings or site.settings
    found = dict(USUAL_ENVIRONMENT)
    for name in site.environment_files:
        found |= _read_environment_file(project.path(name))
    found |= site.environment
    if settings:
        found[SETTINGS_VARIABLE] = settings
    return {**found, **step.environment}


def _read_environment_file(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the variables of a file as `docker run --env-file` reads it: NAME=VALUE, # begins a comment."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error}",
            cause="the setting site.environment_files names it",
            hint="restore it, or correct the setting",
        ) from error
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"{file}:{number}: this is no variable: {line}", hint="write NAME=VALUE")
        yield name.strip(), _unquote(value.strip())


def _unquote(value: str) -> str:
    for quote in ("'", '"'):
        if len(value) > 1 and value.startswith(quote) and value.endswith(quote):
            return value[1:-1]
    return value


def read_secrets(project: Project, env: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `site.secrets`, from variables of this machine and from files.

    Raises `ConfigError` where one is not there.
    """
    return {
        name: _read_secret(project, name, source, env)
        for name, source in project.settings.site.secrets.items()
    }


def _read_secret(project: Project, name: str, source: str, env: Mapping[str, str]) -> str:
    kind, _, where = source.partition(":")
    setting = f"{place_of(project, 'site', 'secrets', name)}: site.secrets.{name}"
    if kind == "variable":
        if where not in env:
            hint = f"export {where}=..., or correct the setting"
            raise ConfigError(f"{setting}: there is no variable {where} here", hint=hint)
        return env[where]
    file = project.path(str(Path(where).expanduser()))
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        hint = "restore it, or correct the setting"
        raise ConfigError(f"{setting}: {file} cannot be read: {error}", hint=hint) from error


def index_services(project: Project, facts: Facts, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the compose file of the environment that indexes, as far as the settings say it."""
    index = project.settings.site.index
    loader = _container(project, index, facts, env)
    if forwarding := _forwarding(project):
        loader["entrypoint"] = [*forwarding, *WAIT]
    return {
        "services": {
            **_named_services(project),
            "database": _database(project, index, facts, env),
            "loader": loader,
        }
    }


def ci_services(project: Project, facts: Facts, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the compose file of the environment that tests, as far as the settings say it."""
    site = project.settings.site
    question = [site.port, site.health, site.health_status, dict(site.health_headers)]
    web = {
        **_container(project, site.release, facts, env),
        "ports": [f"127.0.0.1:${{WEB_PORT:-}}:{site.port}"],
        "healthcheck": {
            "test": ["CMD", "python", "-c", _literal(HEALTH_CHECK), _literal(json.dumps(question))],
            "interval": "1s",
            "timeout": "5s",
            "retries": 60,
        },
        **({"command": [_literal(word) for word in site.command]} if site.command else {}),
    }
    tester = _container(project, site.test, facts, env)
    if forwarding := _forwarding(project):
        web["entrypoint"] = [*forwarding, *map(_literal, facts.entrypoint)]
        web["command"] = [_literal(word) for word in site.command or facts.command]
        tester["entrypoint"] = [*forwarding, *WAIT]
    for name, service in (("web", web), ("tester", tester)):
        service["volumes"] = [*_mounts(project, [*site.mounts, *_suites_mounts(project, name)])]
    database = _database(project, site.release, facts, env)
    return {"services": {**_named_services(project), "database": database, "web": web, "tester": tester}}


def _named_services(project: Project) -> dict[str, Any]:
    """Return what the services are called besides, so that the site's addresses lead to them."""
    routes = plan_routes(project.settings.site.aliases)
    found = {}
    for service, names in routes.names.items():
        name = SERVICES[service][0]
        certain = [CERTAIN_NAME.format(name)] if service in routes.forwarded.values() else []
        if names or certain:
            found[name] = {"networks": {NETWORKS[name]: {"aliases": [*names, *certain]}}}
    return found


def _forwarding(project: Project) -> list[str]:
    """Return what a container of the site runs first to listen in place of services; [] for none."""
    forwarded = plan_routes(project.settings.site.aliases).forwarded
    if not forwarded:
        return []
    targets = {port: SERVICES[service] for port, service in forwarded.items()}
    addresses = {port: (CERTAIN_NAME.format(name), number) for port, (name, number) in targets.items()}
    program = (resources.files("haybale.images") / "forward.py").read_text(encoding="utf-8")
    return ["python", "-c", _literal(program), json.dumps(addresses)]


def _container(project: Project, step: StepSettings, facts: Facts, env: Mapping[str, str]) -> dict[str, Any]:
    """Return what each container of the site has: variables, user, working directory, `site.mounts`."""
    site = project.settings.site
    placeholders = facts.placeholders(site)
    variables = {name: expand(value, placeholders) for name, value in site_environment(project, step).items()}
    variables |= read_secrets(project, env)
    own = plan_routes(site.aliases).own
    return {
        "environment": {name: _literal(value) for name, value in variables.items()},
        **({"user": site.user} if site.user else {}),
        **({"working_dir": site.workdir} if site.workdir else {}),
        "volumes": [*_mounts(project, site.mounts)],
        **({"extra_hosts": dict.fromkeys(own, "127.0.0.1")} if own else {}),
    }


def _database(project: Project, step: StepSettings, facts: Facts, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the service that makes the database ready, after the restore."""
    commands = [
        shlex.join(["without_index", *shlex.split(each)]) for each in project.settings.database.commands
    ]
    fixtures = 'if [ -n "$(ls /fixtures)" ]; then without_index loaddata /fixtures/*/*; fi'
    script = "\n".join([database_script(), *commands, fixtures])
    command = [*_forwarding(project), "sh", "-c", _literal(script)]
    return {**_container(project, step, facts, env), "command": command}


def database_script() -> str:
    """Return the beginning of what the service `database` runs."""
    return (resources.files("haybale.images") / "services" / "database.sh").read_text(encoding="utf-8")


def _suites_mounts(project: Project, where: str) -> Iterator[str]:
    """Yield what the suites that run in a container see of the repository."""
    for suite in project.settings.test.suites.values():
        if suite.where == where:
            yield from suite.mounts


def _mounts(project: Project, mounts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield files and folders of the repository as compose mounts them, each once."""
    for each in dict.fromkeys(mounts):
        source, _, target = each.partition(":")
        yield {
            "type": "bind", "source": _literal(str(project.path(source))), "target": _literal(target),
            "read_only": True, "bind": {"create_host_path": False},
        }  # fmt: skip


def _literal(text: str) -> str:
    """Return a text as compose takes it literally: it reads $ as the start of a variable."""
    return text.replace("$", "$$")
