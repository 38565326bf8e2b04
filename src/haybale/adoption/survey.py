"""What a repository is: its site and all that haybale has to know of it, with the place that says so.

Everything is found by reading files; nothing is started, imported or changed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.compose_services import (
    NOT_DEPLOYED,
    POSTGRES_IMAGE,
    SOLR_IMAGE,
    Service,
    find_site_service,
    find_site_services,
    is_compose_file,
    read_services,
    sort_files,
)
from haybale.adoption.dump_commands import DumpCommand, find_dump_commands
from haybale.adoption.dumps import FoundDump, find_dumps
from haybale.adoption.index_writers import IndexWriter, find_index_writers
from haybale.adoption.local_modules import LocalModule, find_example, needed_imports
from haybale.adoption.search_fields import read_search_fields, search_index_files
from haybale.adoption.settings_reader import read_settings
from haybale.adoption.site_image import SiteDockerfile, python_of, read_dockerfile
from haybale.adoption.site_requirements import (
    Requirements,
    declared_packages,
    find_requirements,
    find_test_extra,
    package_names,
)
from haybale.adoption.site_settings import SiteSettings, find_settings_module, imported_modules
from haybale.adoption.site_tests import SiteTests, find_tests
from haybale.adoption.solr_files import SolrConfiguration, find_configurations
from haybale.adoption.start_scripts import find_scripts, needed_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from haybale.adoption.site_settings import Variable

# Folders that hold no part of a site, besides those whose names begin with a dot.
SKIPPED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "venv", "env", "htmlcov", "dist", "build"}
)
DEEPEST = 6
# Text beyond this is data.
MOST_CHARACTERS = 1_000_000

VERSION = re.compile(r"3\.[0-9]+")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

# Files of variables that are for everybody to read.
EXAMPLE_FILE = re.compile(
    r"\.?env[.-]?(example|sample|dist|template|defaults?|test|tests|ci|docker)|(example|sample|test)\.env|\.env"
)
ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*?)\s*$", re.MULTILINE)

ROUTE = re.compile(
    r"(?:re_)?(?:path|url)\(\s*r?f?[\"']\^?(?P<path>[^\"'$<(\\]*)\$?[\"']\s*,\s*(?P<view>[^\n]*)"
)
HEALTH_PATH = re.compile(
    r"/?(-/)?(health|healthz|healthcheck|health-check|ht|livez|readyz|alive|ping|status/health)/?"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that was found: its value, and the file (with the line) that says so, from the root."""

    value: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A repository, as far as reading tells. Paths are relative to its root, with /."""

    root: Path
    files: tuple[str, ...] = ()
    site: Found | None = None
    settings_module: Found | None = None
    # What manage.py says where nothing else does.
    manage_module: str | None = None
    settings_files: tuple[str, ...] = ()
    local_modules: tuple[LocalModule, ...] = ()
    settings: SiteSettings = field(default_factory=SiteSettings)
    search_indexes: tuple[str, ...] = ()
    # The fields of these, as far as reading tells.
    search_fields: tuple[str, ...] = ()
    # What changes the index while the site runs or is tested.
    index_writers: tuple[IndexWriter, ...] = ()
    # The cores that Django names, where it was started and named others than were read.
    started_cores: tuple[str, ...] = ()
    solr_configurations: tuple[SolrConfiguration, ...] = ()
    solr_version: Found | None = None
    dumps: tuple[FoundDump, ...] = ()
    dump_commands: tuple[DumpCommand, ...] = ()
    dockerfiles: tuple[SiteDockerfile, ...] = ()
    services: tuple[Service, ...] = ()
    compose_files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    # Values of variables that files of the repository have, by name.
    values: Mapping[str, Found] = field(default_factory=dict)
    # What of the repository the site's image is started with.
    start_scripts: tuple[str, ...] = ()
    requirements: tuple[Requirements, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    # The extra of the package at the top that its tests need.
    test_extra: str | None = None
    python: Found | None = None
    tests: SiteTests | None = None
    health: Found | None = None
    search: Found | None = None
    ci_files: tuple[str, ...] = ()
    deployment: tuple[Found, ...] = ()

    @property
    def first_core(self) -> str | None:
        """The core of the first connection to Solr, with the values that files have for its variables."""
        values = {name: each.value for name, each in self.values.items()}
        return next((each.core_with(values) for each in self.settings.connections if each.is_solr), None)

    @property
    def needs_fetching(self) -> bool:
        """Whether the dump has to be brought: nobody gets it with the repository."""
        return not (self.dumps and self.dumps[0].is_here_for_all)

    @property
    def dockerfile(self) -> SiteDockerfile | None:
        """The Dockerfile that the site is built with; None where there is none."""
        return self.dockerfiles[0] if self.dockerfiles else None

    @property
    def site_service(self) -> Service | None:
        """The compose service that is the site."""
        paths = [each.path for each in self.dockerfiles]
        return find_site_service(self.services, paths, next(iter(paths), None))

    @property
    def needed_services(self) -> tuple[Service, ...]:
        """The services that sites talk to besides their database and Solr, each once."""
        return tuple({each.name: each for each in reversed(self.services) if each.is_needed}.values())

    @property
    def database_service(self) -> Service | None:
        """The service with the site's PostgreSQL."""
        return next((each for each in self.services if POSTGRES_IMAGE.fullmatch(each.image or "")), None)


def survey_repository(root: Path, is_shared: Callable[[str], bool] = lambda _: True) -> Survey:
    """Return what a repository is; what is not found is None or empty.

    `is_shared` says whether everybody who clones the repository has a file.
    """
    # What lies highest is most likely the site's own, and comes first.
    files = sorted(list_files(root), key=lambda file: (file.count("/"), file))

    def read(file: str) -> str:
        return _read(root, file)

    site = _find_site(files, read)
    folder = site.value if site else "."
    services = tuple(
        service for file in sort_files([each for each in files if is_compose_file(each, read)])
        for service in read_services(file, read(file))
    )  # fmt: skip
    dockerfiles = _dockerfiles(files, services, read)
    paths = [each.path for each in dockerfiles]
    site_services = find_site_services(services, paths, next(iter(paths), None))
    service = next(iter(site_services), None)
    module = _find_settings_module(files, site, service, next(iter(dockerfiles), None), read)
    settings_files, local_modules = find_settings_files(
        folder, module.value if module else None, files, read, is_shared
    )
    settings = read_settings([(file, read(file)) for file in settings_files])
    scripts = _start_scripts(dockerfiles, service, files)
    settings = replace(settings, variables=(*settings.variables, *_of_scripts(scripts, settings, read)))
    requirements = tuple(find_requirements(files, read))
    packages = _packages(requirements, folder, files, read)
    env_files = tuple(each for each in files if EXAMPLE_FILE.fullmatch(_name(each)) and is_shared(each))
    indexes = search_index_files(files, folder)
    urls = [each for each in files if _name(each) == "urls.py" and is_in(each, folder)]
    return Survey(
        root=root,
        files=tuple(files),
        site=site,
        settings_module=module,
        manage_module=_module_of(read(site.place)) if site else None,
        settings_files=settings_files,
        local_modules=local_modules,
        settings=settings,
        start_scripts=scripts,
        search_indexes=tuple(indexes),
        search_fields=tuple(_field_names(indexes, read)),
        index_writers=tuple(
            find_index_writers(settings_files, [each for each in files if is_in(each, folder)], read)
        ),
        solr_configurations=find_configurations(files, read),
        solr_version=_find_solr(files, services, read),
        dumps=find_dumps(root, files, is_shared),
        dump_commands=find_dump_commands(files, read),
        dockerfiles=dockerfiles,
        services=services,
        compose_files=tuple(dict.fromkeys(each.file for each in services)),
        env_files=env_files,
        values=_values(site_services, env_files, read, is_shared),
        requirements=requirements,
        packages=packages,
        test_extra=find_test_extra(read("pyproject.toml")),
        python=_find_python(files, folder, dockerfiles, read),
        tests=find_tests(files, folder, read, "\n".join(packages)),
        health=_find_health(urls, read),
        search=_find_search(urls, read),
        ci_files=tuple(each for each in files if _is_ci(each)),
        deployment=tuple(_deployment(files)),
    )


def survey_requirements(root: Path) -> tuple[Requirements, ...]:
    """Return a repository's files of requirements alone."""
    return tuple(find_requirements(sorted(list_files(root)), lambda file: _read(root, file)))


def list_files(root: Path) -> Iterator[str]:
    """Yield the files of a repository that may say something, from its root, with /."""
    for folder, subfolders, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        subfolders[:] = [
            name
            for name in subfolders
            if (
                not name.startswith(".") or (not inside.parts and name in {".github", ".docker", ".circleci"})
            )
            and name not in SKIPPED
            and len(inside.parts) < DEEPEST
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        for name in names:
            yield (inside / name).as_posix()


def _read(root: Path, file: str) -> str:
    try:
        with (root / file).open(encoding="utf-8", errors="replace") as text:
            return text.read(MOST_CHARACTERS)
    except OSError:
        return ""


def _name(file: str) -> str:
    return PurePosixPath(file).name


def is_in(file: str, folder: str) -> bool:
    """Whether a file is in a folder, "." for the root."""
    return folder == "." or file.startswith(f"{folder}/")


def _find_site(files: Sequence[str], read: Callable[[str], str]) -> Found | None:
    """Return the folder with manage.py: the shallowest one that Haystack belongs to, or the shallowest."""
    managers = [file for file in files if _name(file) == "manage.py"]
    folders = [str(PurePosixPath(file).parent) for file in managers]

    def has_haystack(folder: str) -> bool:
        inside = (each for each in files if is_in(each, folder) and each.endswith(".py"))
        return any("settings" in each and "HAYSTACK_CONNECTIONS" in read(each) for each in inside)

    several = [folder for folder in folders if has_haystack(folder)] if len(folders) > 1 else folders
    chosen = next(iter(several or folders), None)
    return Found(value=chosen, place=managers[folders.index(chosen)]) if chosen is not None else None


def _find_settings_module(
    files: Sequence[str], site: Found | None, service: Service | None, dockerfile: SiteDockerfile | None,
    read: Callable[[str], str],
) -> Found | None:  # fmt: skip
    """Return the settings module that is deployed: the image's, then compose's, wsgi.py's and manage.py's."""
    name = "DJANGO_SETTINGS_MODULE"
    if dockerfile and MODULE.fullmatch(dockerfile.release.environment.get(name, "")):
        place = f"{dockerfile.path}:{dockerfile.release.line}"
        return Found(value=dockerfile.release.environment[name], place=place)
    is_deployed = service is not None and not NOT_DEPLOYED.search(service.file)
    if service and is_deployed and MODULE.fullmatch(service.environment.get(name, "")):
        return Found(value=service.environment[name], place=f"{service.file}, service {service.name}")
    if site is None:
        return None
    servers = [each for each in files if _name(each) in {"wsgi.py", "asgi.py"} and is_in(each, site.value)]
    for file in (*servers, site.place):
        if module := _module_of(read(file)):
            return Found(value=module, place=file)
    return None


def _module_of(text: str) -> str | None:
    try:
        return find_settings_module(text)
    except (SyntaxError, ValueError):
        return None


def find_settings_files(
    site: str, module: str | None, files: Sequence[str], read: Callable[[str], str],
    is_shared: Callable[[str], bool] = lambda _: True,
) -> tuple[tuple[str, ...], tuple[LocalModule, ...]]:  # fmt: skip
    """Return the files that a settings module is made of, in the order in which Django reads them.

    For a module that not everybody has, that is its example; these modules are the second part.
    """
    found: list[str] = []
    local: list[LocalModule] = []
    seen: set[str] = set()

    def follow(name: str, place: str | None) -> None:
        path = PurePosixPath(site, *name.split("."))
        candidates = (f"{path}.py", f"{path}/__init__.py")
        file = next((each for each in candidates if each in files), None)
        example = find_example(candidates[0], files)
        # A module at the top may be any package's.
        is_of_site = file or example or ("." in name and str(path.parent) in folders)
        if place and is_of_site and not (file and is_shared(file)):
            local.append(LocalModule(path=file or candidates[0], place=place, example=example))
            file = example or file
        if file is None or file in seen:
            return
        seen.add(file)
        try:
            imported, needed = imported_modules(read(file)), needed_imports(read(file))
        except (SyntaxError, ValueError):
            imported, needed = [], {}
        package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        for each in imported:
            follow(_absolute(each, package), f"{file}:{needed[each]}" if each in needed else None)
        # After what it imports, which it may replace.
        found.append(file)

    folders = {str(PurePosixPath(each).parent) for each in files}
    if module:
        follow(module, None)
    return tuple(found), tuple(local)


def _absolute(name: str, package: str) -> str:
    """Return the full name of a module that is imported within a package."""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    parts = package.split(".") if package else []
    return ".".join([*parts[: len(parts) - dots + 1], *filter(None, [name.lstrip(".")])])


def _dockerfiles(
    files: Sequence[str], services: Sequence[Service], read: Callable[[str], str]
) -> tuple[SiteDockerfile, ...]:
    """Return the Dockerfiles of a site: the one that its compose service is built with first."""
    found = []
    for file in files:
        name = _name(file)
        if name == "Dockerfile" or name.startswith("Dockerfile.") or name.endswith(".Dockerfile"):
            dockerfile = read_dockerfile(file, read(file))
            if dockerfile and dockerfile.is_of_site:
                found.append(dockerfile)
    service = find_site_service(services, [each.path for each in found])

    def rank(each: SiteDockerfile) -> tuple[bool, bool, int]:
        is_built = service is not None and service.dockerfile == each.path
        return (bool(NOT_DEPLOYED.search(each.path)), not is_built, each.path.count("/"))

    return tuple(sorted(found, key=rank))


def _packages(
    requirements: Sequence[Requirements], site: str, files: Sequence[str], read: Callable[[str], str]
) -> dict[str, str]:
    """Return what is asked for anywhere near the site: packages and their extras."""
    found: dict[str, str] = {}
    for each in requirements:
        found |= package_names(read(each.path))
    for file in files:
        if _name(file) == "pyproject.toml" and (is_in(file, site) or "/" not in file):
            found |= declared_packages(read(file))
    return found


def _field_names(indexes: Sequence[str], read: Callable[[str], str]) -> Iterator[str]:
    """Yield the names of the fields of search indexes, each once."""
    seen: set[str] = set()
    for file in indexes:
        try:
            found = read_search_fields(file, read(file)).fields
        except (SyntaxError, ValueError):
            continue
        for each in found:
            if each.name not in seen:
                seen.add(each.name)
                yield each.name


def _start_scripts(
    dockerfiles: Sequence[SiteDockerfile], service: Service | None, files: Sequence[str]
) -> tuple[str, ...]:
    """Return the scripts that the deployed image is started with: its entrypoint's, its command's."""
    if not dockerfiles:
        return ()
    release = dockerfiles[0].release
    command = release.command or (service.command if service else None)
    return tuple(dict.fromkeys(find_scripts(release, command, files)))


def _of_scripts(
    scripts: Iterable[str], settings: SiteSettings, read: Callable[[str], str]
) -> Iterator[Variable]:
    """Yield the variables that scripts need and settings do not read."""
    known = {each.name for each in settings.variables}
    for file in scripts:
        for each in needed_variables(file, read(file)):
            if each.name not in known:
                known.add(each.name)
                yield each


def _find_solr(files: Sequence[str], services: Sequence[Service], read: Callable[[str], str]) -> Found | None:
    """Return the version of Solr that is used today."""
    for each in services:
        if match := SOLR_IMAGE.fullmatch(each.image or ""):
            return Found(value=match["version"], place=f"{each.file}, service {each.name}")
    for file in files:
        if "Dockerfile" in _name(file):
            for number, line in enumerate(read(file).splitlines(), start=1):
                image = line.split()[1] if line.upper().startswith("FROM ") and len(line.split()) > 1 else ""
                if match := SOLR_IMAGE.fullmatch(image):
                    return Found(value=match["version"], place=f"{file}:{number}")
    return None


def _values(
    site_services: Iterable[Service], env_files: Iterable[str], read: Callable[[str], str],
    is_shared: Callable[[str], bool],
) -> dict[str, Found]:  # fmt: skip
    """Return the values that files have for variables: compose's before those of files of variables.

    A service's own files of variables count where everybody has them.
    """
    found: dict[str, Found] = {}
    for service in site_services:
        place = f"{service.file}, service {service.name}"
        for name, value in service.environment.items():
            found.setdefault(name, Found(value=value, place=place))
        own = (file for file in service.env_files if file not in env_files and read(file))
        for file in filter(is_shared, own):
            for name, value in read_assignments(read(file)).items():
                found.setdefault(name, Found(value=value, place=file))
    for file in env_files:
        for name, value in read_assignments(read(file)).items():
            found.setdefault(name, Found(value=value, place=file))
    return found


def read_assignments(text: str) -> dict[str, str]:
    """Return the variables of a file of NAME=VALUE lines."""
    return {match["name"]: match["value"].strip("\"'") for match in ASSIGNMENT.finditer(text)}


def _find_python(
    files: Sequence[str], site: str, dockerfiles: Sequence[SiteDockerfile], read: Callable[[str], str]
) -> Found | None:
    """Return the Python that the site runs on: its image's before what is meant for developers."""
    for dockerfile in dockerfiles:
        if version := python_of(dockerfile.release.base):
            return Found(value=version, place=f"{dockerfile.path}:{dockerfile.release.line}")
    near = [file for file in files if is_in(file, site) or "/" not in file]
    for file in near:
        if _name(file) in {".python-version", "runtime.txt"} and (match := VERSION.search(read(file))):
            return Found(value=match[0], place=file)
    for file in near:
        if _name(file) in {"pyproject.toml", "Pipfile"}:
            for number, line in enumerate(read(file).splitlines(), start=1):
                is_version = re.match(r"(requires-python|python|python_version)\s*=", line)
                if is_version and (match := VERSION.search(line)):
                    return Found(value=match[0], place=f"{file}:{number}")
    return None


def _routes(files: Iterable[str], read: Callable[[str], str]) -> Iterator[tuple[str, str, str]]:
    """Yield path, view and place of the routes that URL patterns write down."""
    for file in files:
        for number, line in enumerate(read(file).splitlines(), start=1):
            if (match := ROUTE.search(line)) and not line.lstrip().startswith("#"):
                yield match["path"], match["view"], f"{file}:{number}"


def _find_health(urls: Sequence[str], read: Callable[[str], str]) -> Found | None:
    """Return the path that tells whether the site is up, of the first urls.py: others may be included."""
    for path, view, place in _routes(urls[:1], read):
        if HEALTH_PATH.fullmatch(path) and "include" not in view:
            return Found(value=f"/{path.lstrip('/')}", place=place)
    return None


def _find_search(urls: Sequence[str], read: Callable[[str], str]) -> Found | None:
    """Return the path of the search page, where the first urls.py has it."""
    for path, view, place in _routes(urls[:1], read):
        if "haystack.urls" in view or ("include" not in view and path.strip("/") == "search"):
            return Found(value=f"/{path.lstrip('/')}", place=place)
    return None


def _is_ci(file: str) -> bool:
    folder, name = str(PurePosixPath(file).parent), _name(file)
    return (folder == ".github/workflows" and name.endswith((".yml", ".yaml"))) or file in {
        ".gitlab-ci.yml", ".travis.yml", "Jenkinsfile", "azure-pipelines.yml", "bitbucket-pipelines.yml",
        ".circleci/config.yml", ".drone.yml", ".woodpecker.yml",
    }  # fmt: skip


def _deployment(files: Sequence[str]) -> Iterator[Found]:
    """Yield how the site is deployed: the tool, and its file."""
    for file in files:
        name = _name(file)
        if name == "Chart.yaml":
            yield Found(value="Helm", place=file)
        elif name in {"kustomization.yaml", "kustomization.yml"} and "/overlays/" not in f"/{file}":
            yield Found(value="Kustomize", place=file)
        elif name in {"Procfile", "fly.toml", "app.json", "ansible.cfg", "fabfile.py"} and "/" not in file:
            yield Found(value=name, place=file)
