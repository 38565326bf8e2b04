"""What `init` proposes for a repository: settings by what was found, and what a person has to look at."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from haybale.adoption.compose_services import STARTS_SITE
from haybale.adoption.dump_commands import choose_command
from haybale.adoption.local_modules import read_files
from haybale.adoption.proposed_environment import (
    WORKDIR,
    ProposedEnvironment,
    check_kind,
    database_kind,
    propose_environment,
)
from haybale.adoption.proposed_tests import propose_requirements, propose_suites
from haybale.adoption.site_requirements import system_packages
from haybale.adoption.solr_files import match_cores
from haybale.adoption.start_scripts import find_port
from haybale.adoption.written_in import find_written_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.adoption.site_image import ImageStage, SiteDockerfile
    from haybale.adoption.survey import Survey
    from haybale.adoption.variables import Question

# Registries that belong to a forge, by its host.
REGISTRIES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
NO_REGISTRY = "localhost:5000"

# Commands of manage.py that scripts run before they serve.
WORK = re.compile(r"manage\.py\s+(rebuild_index|update_index|clear_index|collectstatic)\b")

# The file with services that the site needs, where none of the repository's has them alone.
SERVICES_FILE = "compose.haybale.yml"

# What haybale's own PostgreSQL is, and the Python that its settings begin with.
POSTGRES = 17
PYTHON = "3.13"
PORT = 8000


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a repository comes from: the URL of its remote, and its main branch, where known."""

    url: str | None = None
    branch: str | None = None

    @property
    def host_and_path(self) -> tuple[str, str]:
        """Host and path of the URL, in any form that git knows; empty for none."""
        form = r"(?:[a-z+]+://)?(?:[^@/]*@)?([^:/]+)(?::[0-9]+)?[:/](.+?)(?:\.git)?/?"
        match = re.fullmatch(form, self.url or "")
        return (match[1].lower(), match[2]) if match else ("", "")


@dataclass(frozen=True, kw_only=True)
class ProposedSettings:
    """`[tool.haybale]` as it is proposed.

    `table` is what differs from the defaults; `notes` say what a person has to look at, a sentence each;
    `questions` are the values that only a person knows; `services` are compose services of theirs that need a
    file of their own, SERVICES_FILE.
    """

    table: Mapping[str, Any]
    notes: tuple[str, ...]
    questions: tuple[Question, ...]
    services: Mapping[str, Mapping[str, Any]]


def propose_settings(survey: Survey, origin: Origin, answers: Mapping[str, str]) -> ProposedSettings:
    """Return the settings for a repository; `answers` are the values of variables that a person gave."""
    return _Proposer(survey, origin, answers).propose()


@dataclass
class _Proposer:
    survey: Survey
    origin: Origin
    answers: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def propose(self) -> ProposedSettings:
        found = self.survey
        dockerfile = self._dockerfile()
        release = dockerfile.release if dockerfile else None
        workdir = self._workdir(release)
        environment = propose_environment(
            found, workdir or (release.folder if release else None), self.answers
        )
        in_image = workdir or (release.folder if release else WORKDIR)
        written_in = find_written_in(
            found.settings, kind=database_kind(found), folder=self._folder, workdir=in_image,
            port=self._port(release) or PORT,
        )  # fmt: skip
        compose_file, services = self._services()
        table: dict[str, Any] = self._names() | self._cores_and_dump()
        table["database"] = {**(self._database() or {}), **written_in.database}
        table["dockerfile"] = dockerfile.path if dockerfile else None
        table["site"] = {**self._site(release, workdir, environment), "aliases": written_in.aliases}
        table["stages"] = self._stages(dockerfile)
        table["image"] = self._image() if dockerfile is None else None
        table["images"] = self._images()
        table["index"] = self._index()
        table["compose"] = {"solr": compose_file, "ci": compose_file}
        table["requirements"] = self._requirements(dockerfile)
        texts = {each.path: self._text(each.path) for each in found.requirements}
        table["test"] = {**propose_suites(found, self._folder, dockerfile, texts), "pages": self._pages()}
        self.notes += written_in.notes
        self._look_at_the_rest(environment)
        return ProposedSettings(
            table=_without_none(table), notes=tuple(self.notes), questions=environment.questions,
            services=services,
        )  # fmt: skip

    def _site(
        self, release: ImageStage | None, workdir: str | None, environment: ProposedEnvironment
    ) -> dict[str, Any]:
        health = self.survey.health
        return {
            "folder": None if self._folder == "." else self._folder,
            "settings": self._settings_module(),
            "workdir": workdir,
            "port": self._port(release),
            "health": health.value if health else None,
            "health_headers": self._headers(),
            "command": self._command(release),
            "environment_files": [environment.file] if environment.file else None,
            "environment": dict(environment.variables),
            "mounts": self._mounts(workdir or (release.folder if release else None) or WORKDIR),
            "test": {"settings": self._test_settings()},
        }

    def _mounts(self, workdir: str) -> list[str] | None:
        """Return the examples that stand for settings modules that git has not; `workdir` is in the image."""
        mounts = []
        for each in self.survey.local_modules:
            if each.example is None:
                self.notes.append(
                    f"site.mounts: {each.place} imports {each.path}, which git has not, and no example of it"
                    " is there: write one for tests, and name it"
                )
                continue
            inside = PurePosixPath(each.path).relative_to(self._folder)
            mounts.append(f"{each.example}:{PurePosixPath(workdir, inside)}")
            self.notes.append(
                f"site.mounts: {each.place} imports {each.path}, which git has not; {each.example} is in its"
                " place wherever haybale runs the site"
            )
        for path, place in self._files_read():
            if path.startswith("/"):
                self.notes.append(
                    f"site.mounts: {place} reads {path}; where a deployment brings it, write one for"
                    f' tests, and name it: "FILE:{path}"'
                )
        return mounts or None

    def _files_read(self) -> Iterator[tuple[str, str]]:
        """Yield the files that settings read by paths that are written down, and FILE:LINE."""
        for file in self.survey.settings_files:
            try:
                found = read_files(self._text(file))
            except (SyntaxError, ValueError):
                continue
            yield from ((path, f"{file}:{line}") for path, line in found.items())

    @property
    def _folder(self) -> str:
        return self.survey.site.value if self.survey.site else "."

    def _names(self) -> dict[str, Any]:
        host, path = self.origin.host_and_path
        last = PurePosixPath(path).name or self.survey.root.name
        name = re.sub(r"[^a-z0-9_-]+", "-", last.lower()).strip("-_") or "site"
        is_known = host in REGISTRIES
        if not is_known:
            self.notes.append(
                "registry: it is not known where your images go, so they stay on this engine (local = true)"
            )
        return {
            "name": name,
            "registry": f"{REGISTRIES[host]}/{path.lower()}" if is_known else f"{NO_REGISTRY}/{name}",
            "local": None if is_known else True,
            "main": self.origin.branch if self.origin.branch not in {None, "main"} else None,
        }

    def _cores_and_dump(self) -> dict[str, Any]:
        found = self.survey
        values = {name: each.value for name, each in found.values.items()} | dict(self.answers)
        solr = [each for each in found.settings.connections if each.is_solr]
        cores = [each.core_with(values) for each in solr]
        known = list(found.started_cores or dict.fromkeys(core for core in cores if core))
        if not solr:
            where = found.settings_files[-1] if found.settings_files else "the site's settings"
            self.notes.append(
                f"HAYSTACK_CONNECTIONS: no connection to Solr is written down in {where};"
                " haybale asks Django for them when it indexes"
            )
        core = known[0] if len(known) == 1 else known
        if not known or (len(known) < len(solr) and not found.started_cores):
            core = []
        folder = match_cores(found.solr_configurations, known)
        if folder is None:
            half = next((f" ({each.folder} has no schema)" for each in found.solr_configurations), "")
            self.notes.append(
                f"solr_conf: there is no folder with schema.xml and solrconfig.xml{half}, so haybale makes"
                " them of the search indexes, in .haybale/solr_conf/CORE; `haybale doctor --deep` makes them"
                " to be looked at"
            )
        return {"core": core or None, "solr_conf": folder, "dump": self._dump()}

    def _dump(self) -> str | None:
        dumps = self.survey.dumps
        if self.survey.needs_fetching and self.survey.dump_commands:
            return None
        if not dumps:
            self.notes.append(
                "dump: no file here is one; make one (pg_dump, or a copy of the SQLite file), and a link to"
                " the newest: ln -s FILE dumps/site_latest.sql.gz; or say in database.fetch what brings one"
            )
            return None
        chosen = dumps[0]
        if chosen.database is None:
            self.notes.append(
                f"dump: {chosen.path} leads to a file that is not here, and no file says how to get it: say"
                " it in database.fetch"
            )
        elif not chosen.is_shared:
            self.notes.append(
                f"dump: git ignores {chosen.path}, so nobody else has it: put it into git, or say in"
                " database.fetch what brings it"
            )
        elif chosen.is_dated and not chosen.is_link:
            folder = PurePosixPath(chosen.path).parent
            self.notes.append(
                f"dump: {chosen.path} has a date in its name; with a link to it ({folder}/latest), a new one"
                " needs no new setting"
            )
        return chosen.path

    def _database(self) -> dict[str, Any]:
        """Return what brings a dump that is not in git, and its digest where that is known."""
        found = self.survey
        if not found.needs_fetching:
            return {}
        paths = [path for each in found.dumps for path in (each.path, each.target) if path]
        command, is_sure = choose_command(found.dump_commands, paths)
        if command is None:
            return {}
        how_sure = "writes to where the dump is looked for" if is_sure else "is the likeliest one"
        self.notes.append(
            f"database.fetch: {command.place} has this command, which {how_sure}; it was not run"
        )
        file = found.root / command.target if is_sure and command.target else None
        digest = None
        if file is not None and file.is_file():
            with file.open("rb") as dump:
                digest = hashlib.file_digest(dump, "sha256").hexdigest()
        if command.is_another_each_time:
            self.notes.append(
                "database.fetch: pg_dump makes another dump each time, and the same commit has to have the"
                " same index: keep a dump somewhere, and fetch that"
            )
        elif digest is None:
            self.notes.append(
                "database.sha256: which dump is meant is not known before one was fetched: the first"
                " `haybale regen-solr-image` fetches it, and says the line"
            )
        return {"fetch": list(command.words), "sha256": digest}

    def _index(self) -> dict[str, Any]:
        """Return what counts for the index, and what the baked Solr answers."""
        # The working directory is the site's folder.
        read = {str(PurePosixPath(self._folder, path)) for path, _ in self._files_read()}
        inputs = sorted(read & {*self.survey.files})
        return {"inputs": inputs or None, "serve": self._serve()}

    def _serve(self) -> str | None:
        writers = self.survey.index_writers
        if not writers:
            return None
        first = writers[0]
        self.notes.append(
            f"index.serve: {first.place} ({first.name}) changes the index, so the baked Solr answers all"
            ' requests ("open"): remove the line where only searches matter'
        )
        return "open"

    def _settings_module(self) -> str | None:
        """Return the settings module, where neither the image nor manage.py says it itself."""
        found = self.survey
        module = found.settings_module
        if module is None or module.value == found.manage_module:
            return None
        is_in_image = found.dockerfile and module.place.startswith(f"{found.dockerfile.path}:")
        return None if is_in_image else module.value

    def _test_settings(self) -> str | None:
        tests, module = self.survey.tests, self.survey.settings_module
        wanted = tests.settings if tests else None
        return wanted if wanted != (module.value if module else None) else None

    # The Dockerfile -----------------------------------------------------------------------------------------

    def _dockerfile(self) -> SiteDockerfile | None:
        """Return the Dockerfile that can be used: haybale builds with the repository as the context."""
        chosen = self.survey.dockerfile
        if chosen is None:
            return None
        service = self.survey.site_service
        folder = str(PurePosixPath(chosen.path).parent)
        context = service.context if service and service.dockerfile == chosen.path else None
        if context is None and folder != ".":
            sources = [each.removeprefix("./").rstrip("/") for each in chosen.release.sources]
            named = [each for each in sources if each not in {"", "."} and not set("*[$") & set(each)]
            known = set(self.survey.files) | _folders(self.survey.files)
            context = folder if named and not all(each in known for each in named) else "."
        if context in {None, "."}:
            return chosen
        self.notes.append(
            f"dockerfile: {chosen.path} is built with the context {context}, and haybale builds with the"
            " repository as context, so its own Dockerfile is used; name yours when its COPYs begin there"
        )
        return None

    def _stages(self, dockerfile: SiteDockerfile | None) -> dict[str, Any]:
        if dockerfile is None:
            return {}
        release, tester = dockerfile.release, dockerfile.tester
        is_last = release is dockerfile.stages[-1]
        return {
            "release": None if is_last else release.name,
            "tester": tester.name if tester and tester is not release else None,
        }

    def _workdir(self, release: ImageStage | None) -> str | None:
        """Return where manage.py is in the image, where that is not its working directory."""
        if (
            release is None
            or self._folder == "."
            or "." not in {each.rstrip("/") for each in release.sources}
        ):
            return None
        return str(PurePosixPath(release.folder or "/", self._folder))

    def _port(self, release: ImageStage | None) -> int | None:
        if release is None:
            return None
        service = self.survey.site_service
        match = re.search(r"(?:0\.0\.0\.0|--bind|-b|\s|\*|\[::\]):?(\d{2,5})\b", release.command or "")
        said = (int(match[1]) if match else None) or find_port(self.survey.start_scripts, self._text)
        port = release.port or said or (service.port if service else None)
        return port if port != PORT else None

    def _command(self, release: ImageStage | None) -> list[str] | None:
        """Return what starts the site, where the image does not start it as it is deployed."""
        if release is None:
            return None if "gunicorn" in self.survey.packages else self._own_command()
        service = self.survey.site_service
        command = service.command if service else None
        # An entrypoint that ends by running what it is given does nothing without that.
        is_given = not release.command and any(
            '"$@"' in self._text(each) for each in self.survey.start_scripts
        )
        if (release.entrypoint and not is_given) or (release.command and "runserver" not in release.command):
            return None
        if command and "runserver" not in command and (is_given or STARTS_SITE.search(command)):
            return _words(command)
        return self._own_command() if not release.command else None

    def _own_command(self) -> list[str]:
        module = (self.survey.settings_module.value if self.survey.settings_module else "").partition(".")[0]
        if "gunicorn" in self.survey.packages:
            return ["gunicorn", "--bind", f"0.0.0.0:{PORT}", f"{module}.wsgi"]
        self.notes.append(
            "site.command: it is not known what serves the site (no gunicorn is asked for), so Django's own"
            " server does, which is for development only"
        )
        return ["python", "manage.py", "runserver", "--noreload", f"0.0.0.0:{PORT}"]

    def _image(self) -> dict[str, Any]:
        building, running = system_packages(dict(self.survey.packages))
        text = "".join(
            (self.survey.root / each).read_text(encoding="utf-8", errors="replace")
            for each in self.survey.settings_files
        )
        return {
            "packages": list(running) or None,
            "build_packages": list(building) or None,
            "collectstatic": None if "STATIC_ROOT" in text else False,
        }

    def _requirements(self, dockerfile: SiteDockerfile | None) -> dict[str, Any]:
        """Return what haybale compiles or installs; of a site with a Dockerfile only what is in its image."""
        table = propose_requirements(self.survey, self._folder)
        if dockerfile is not None and "source" not in table:
            return {"production": table.get("production")}
        return {"python": self._python(), **table}

    def _python(self) -> str | None:
        """Return the site's Python, where it is not the one that settings begin with."""
        found = self.survey.python
        return found.value if found and found.value != PYTHON else None

    def _images(self) -> dict[str, Any]:
        found = self.survey
        python = self._python()
        server = next((each.server for each in found.dumps[:1] if each.server), None)
        service = found.database_service
        image = None
        if service and service.image and "postgis" in service.image and database_kind(found) != "sqlite":
            image = service.image
        elif server and server > POSTGRES:
            image = f"postgres:{server}"
        return {"python": f"python:{python}-slim" if python else None, "postgres": image}

    # What the site is told ----------------------------------------------------------------------------------

    def _headers(self) -> dict[str, str] | None:
        """Return the Host header that a site with hosts of its own answers to."""
        hosts = self.survey.settings.hosts
        if not hosts or {"*", "localhost", ".localhost"} & {*hosts}:
            return None
        return {"Host": hosts[0].lstrip(".")}

    def _services(self) -> tuple[str | None, dict[str, Mapping[str, Any]]]:
        """Return the compose file with the services that the site needs, or what one has to have."""
        needed = self.survey.needed_services
        if not needed:
            return None, {}
        names = {each.name for each in needed}
        for file in self.survey.compose_files:
            inside = {each.name for each in self.survey.services if each.file == file}
            if inside == names:
                return file, {}
        return SERVICES_FILE, {each.name: each.content for each in needed}

    def _text(self, file: str) -> str:
        return (self.survey.root / file).read_text(encoding="utf-8", errors="replace")

    def _pages(self) -> list[dict[str, Any]] | None:
        search = self.survey.search
        is_open = not any("LoginRequired" in self._text(each) for each in self.survey.settings_files)
        if search is None or not is_open:
            return None
        page: dict[str, Any] = {"path": f"{search.value}?q=a"}
        headers = self._headers()
        return [{**page, "headers": headers} if headers else page]

    def _started_work(self) -> Iterator[str]:
        """Yield what a script does before it serves, and cannot where haybale runs the site."""
        for file in self.survey.start_scripts:
            for number, line in enumerate(self._text(file).splitlines(), start=1):
                command = WORK.search(line)
                if command is None or line.lstrip().startswith("#"):
                    continue
                if command[1] != "collectstatic":
                    yield (
                        f"site.command: {file}:{number} runs {command[1]}, and the baked index takes no"
                        " writes unless index.serve is open: start the site without it"
                    )
                elif "django-storages" in self.survey.packages:
                    yield (
                        f"site.command: {file}:{number} runs collectstatic; where static files go to a store"
                        " elsewhere (django-storages), start the site without it"
                    )

    def _look_at_the_rest(self, environment: ProposedEnvironment) -> None:
        found = self.survey
        self.notes += check_kind(found)
        self.notes += [
            f"site.environment.{each.variable}: {each.place} needs it, and no file says what it is; it is"
            f" {each.default!r} now"
            for each in environment.questions
        ]
        self.notes += self._started_work()
        if found.site is None:
            self.notes.append("site.folder: there is no manage.py here")
        if not found.requirements and not found.packages:
            self.notes.append("requirements.production: no file says which packages the site needs")
        elif not found.requirements and found.dockerfile is None:
            self.notes.append(
                "requirements.production: haybale installs a requirements file or a lock, and neither is"
                " here: make one of what pyproject.toml asks for (uv lock, or pip-compile)"
            )
        if found.tests is None:
            self.notes.append("test.suites: no tests of the site were found")
        elif found.tests.browser:
            self.notes.append(
                f"test.suites: {found.tests.browser[0]} drives a browser, which the tester lacks unless"
                " test.install installs it"
            )
        self.notes += [
            f"deployment: {each.value} ({each.place}): docs/flux.md says how a tag moves it, "
            "after: `haybale flux`"
            for each in found.deployment
            if each.value in {"Helm", "Kustomize"}
        ]


def _words(command: str) -> list[str]:
    """Return a command as a list; one that only a shell understands is given to a shell."""
    words = shlex.split(command)
    is_shell = PurePosixPath(words[0]).name in {"sh", "bash"}
    return words if is_shell or not set("$|&;") & set(command) else ["sh", "-c", command]


def _without_none(value: Any) -> Any:
    """Return a table without what is None, and without tables that are empty then."""
    if isinstance(value, dict):
        inner = {key: _without_none(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each is not None and each not in ({}, [])}
    return value


def _folders(files: Sequence[str]) -> set[str]:
    return {str(parent) for file in files for parent in PurePosixPath(file).parents}
