"""The settings: `[tool.haybale]` in the repository's pyproject.toml, and environment variables over it.

A setting is declared once, as a field of a class below. All are checked before anything is started; every
problem is named with its file and line. Plain dataclasses: every verb waits for this module, and a validation
library costs a third of what `version` may take (docs/adr/0004).
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import shlex
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from haybale.addresses import ADDRESS, find_conflicts
from haybale.errors import ConfigError
from haybale.image_ref import ImageRef
from haybale.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

FILE = "pyproject.toml"
TABLE = "tool.haybale"

WORD = r"[a-z0-9][a-z0-9_-]*"
# What Solr takes for a core's name (SolrIdentifierValidator).
CORE = r"(?!-)[A-Za-z0-9._-]+"
# A host name (RFC 1123, 2.1); Kubernetes allows no capitals.
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = rf"{LABEL}(\.{LABEL})*"
# What can be part of a git ref, a host name and a Kubernetes name alike (RFC 1123, 2.1), with room for more.
NAME = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"

# What Flux's GitRepository accepts (its CRD); git's user@host:path is ssh://user@host/path there.
GIT_URL = r"(https?|ssh)://[^\s\"'\\]+"
# The rules of git-check-ref-format(1) that a typing error may break.
BRANCH = r"(?![-/])(?!.*(\.\.|@\{|//|\.lock(/|$)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![./])"

# How an environment variable says yes or no.
TRUTH: Mapping[str, bool] = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

# What haybale knows of a run, for the values of the site's variables: {database_url} and so on.
PLACEHOLDERS = (
    "database_url", "database_engine", "database_host", "database_port", "database_name", "database_user",
    "database_password", "sqlite_path", "solr_url", "solr_base_url", "solr_host", "solr_port", "core",
    "site_url", "site_host",
)  # fmt: skip
# {{word}} is no placeholder.
PLACEHOLDER = re.compile(r"(?<!\{)\{([a-z][a-z_]*)\}(?!\})")

EMPTY: Mapping[str, str] = {}
LOCALHOST: Mapping[str, str] = {"Host": "localhost"}
# What most sites read: dj-database-url's and django-environ's DATABASE_URL, and the conventions around it.
USUAL_ENVIRONMENT: Mapping[str, str] = {
    "ALLOWED_HOSTS": "localhost,127.0.0.1,{site_host}",
    "DATABASE_URL": "{database_url}",
    # What PostgreSQL's own library takes where DATABASES has no HOST, USER or PASSWORD.
    "PGHOST": "{database_host}",
    "PGPASSWORD": "{database_password}",
    "PGUSER": "{database_user}",
    "SECRET_KEY": "only-for-tests",
    "SOLR_BASE_URL": "{solr_base_url}",
    "SOLR_URL": "{solr_url}",
}

# A folder or file of the repository, from its top; and one with an environment's name in it.
FOLDER = r"\w[\w.-]*(/\w[\w.-]*)*"
FOLDER_OF_ENVIRONMENT = (
    r"(\w|\{environment\})([\w.-]|\{environment\})*(/(\w|\{environment\})([\w.-]|\{environment\})*)*"
)
# A path of the repository, and where it is in a container.
MOUNT = r"[^:]+:/[^:]*"
# An image's name in a manifest, without tag and digest.
IMAGE = r"[a-z0-9][a-z0-9._:/-]*"

# A login before an image's name: USER:PASSWORD@, with no URL's slashes before it and no digest behind it.
QUOTED_LOGIN = re.compile(r"""(['"])(?![a-z]+://)[^'"\s]*@(?!(?:sha|md)\d+:)""")

# What is known of a release's images, for the values of a chart.
IMAGE_WORDS = (
    "version", "site", "site_repository", "site_tag", "site_digest",
    "index", "index_repository", "index_tag", "index_digest",
)  # fmt: skip
T = TypeVar("T")


def setting(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    pattern: str | None = None,
    form: str | None = None,
    names: str | None = None,
    names_form: str | None = None,
    minimum: int = 0,
    complaint: Callable[[str], str | None] | None = None,
    variable: str | None = None,
    parse: Callable[[str], Any] = str,
    is_secret: bool = False,
) -> Any:
    """Declare a setting: what it is for, its default, which values are valid, and what overrides it.

    A string is valid where it matches `pattern` whole (`form` says that in words), and `complaint` does not
    return what it should have been ("is ..."); so is each one of a list or a table, whose names match `names`
    whole (`names_form` says that in words). `variable` is the
    environment variable that overrides the file, `parse` makes a value of its text. Where the default is
    None, "" means None too. No message shows what stands where `is_secret`.
    """
    metadata = {
        "description": description, "pattern": pattern, "form": form, "names": names,
        "names_form": names_form, "minimum": minimum, "complaint": complaint, "variable": variable,
        "parse": parse, "is_secret": is_secret,
    }  # fmt: skip
    if isinstance(default, Mapping):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(each: dataclasses.Field[Any]) -> Any:
    """Return the default of a setting, `dataclasses.MISSING` where it has none."""
    if each.default_factory is not dataclasses.MISSING:
        return each.default_factory()
    return each.default


def _value_complaint(value: str) -> str | None:
    """Return what is wrong with the value of a variable: a placeholder that does not exist."""
    unknown = [name for name in PLACEHOLDER.findall(value) if name not in PLACEHOLDERS]
    if not unknown:
        return None
    near = difflib.get_close_matches(unknown[0], PLACEHOLDERS, n=1)
    known = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(PLACEHOLDERS)}"
    return f"has no {{{unknown[0]}}} ({known} {{{{{unknown[0]}}}}} stays as it is)"


def _image_complaint(name: str) -> str | None:
    try:
        ImageRef.parse(name)
    except ConfigError as error:
        return f"is an image's name ({error.cause})"
    return None


def image_setting(description: str, default: str, variable: str) -> Any:
    """Declare a setting that names an image."""
    return setting(description, default, complaint=_image_complaint, variable=variable)


def _repository_complaint(name: str) -> str | None:
    complaint = _image_complaint(name)
    if complaint is None and (ImageRef.parse(name).tag or ImageRef.parse(name).digest):
        return "is an image's name without tag and digest"
    return complaint


def _lowercase_path(name: str) -> str:
    """Return an image's name as registries want it: CI systems give a repository's as its owner wrote it."""
    host, slash, path = name.partition("/")
    return host + slash + path.lower()


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The base images (`[tool.haybale.images]`)."""

    python: str = image_setting("base of the site's image", "python:3.13-slim", "PYTHON_IMAGE")
    solr: str = image_setting("the Solr that indexes and serves", "solr:9.10.1-slim", "SOLR_IMAGE")
    postgres: str = image_setting(
        "restores a PostgreSQL dump: at least as new as the dump's server", "postgres:17", "POSTGRES_IMAGE"
    )


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """How images are built (`[tool.haybale.build]`)."""

    provenance: bool = setting("attach a provenance attestation", default=False)
    sbom: bool = setting("attach a software bill of materials", default=False)
    cache: bool = setting("use the registry as a build cache where that is possible", default=True)
    platform: str | None = setting("such as linux/amd64,linux/arm64; none: the engine's own", None)


@dataclass(frozen=True, kw_only=True)
class RequirementsSettings:
    """What the site's image installs, and how that is compiled (`[tool.haybale.requirements]`)."""

    production: str = setting(
        "what the image installs: a requirements file, or a uv.lock, poetry.lock, pdm.lock, Pipfile.lock",
        "requirements.txt",
    )
    development: str | None = setting(
        "a requirements file that the tester installs besides; none: the lock's, or nothing", None
    )
    build: str | None = setting(
        "a requirements file with hashes, for building what has no wheel; none: what pip fetches",
        None,
    )
    groups: tuple[str, ...] = setting("a lock's groups that production has besides its own", ())
    extras: tuple[str, ...] = setting("a lock's extras that production has", ())
    package: str | None = setting("the site's package in a uv workspace; none: the one at its root", None)
    source: str | None = setting(
        "one input, in two parts, of which both are compiled; none: each file has its own", None
    )
    marker: str = setting("the heading in `source` that begins the development part", "# Dev")
    dev_source: str | None = setting("a second input beside `source`, in place of the heading", None)
    python: str | None = setting(
        "the Python that they are for; none: what a file's heading or images.python says",
        None,
        pattern=r"3\.[0-9]+(\.[0-9]+)?",
    )
    machine: str = setting("the machine that they are for", "x86_64", pattern="x86_64|aarch64")


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a step has of its own (`[tool.haybale.site.index]`, `.test`, `.release`)."""

    settings: str | None = setting("DJANGO_SETTINGS_MODULE in this step; none: `site.settings`", None)
    environment: Mapping[str, str] = setting(
        "variables over `site.environment`", EMPTY, complaint=_value_complaint
    )


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """What a container of the site is told, and how it answers (`[tool.haybale.site]`)."""

    folder: str = setting("the folder with manage.py", ".")
    settings: str | None = setting("DJANGO_SETTINGS_MODULE; none: the image's, or what manage.py says", None)
    workdir: str | None = setting(
        "where manage.py is in the image; none: the image's working directory",
        None,
        pattern="/.*",
        form="a path in the image",
    )
    user: str | None = setting("who the site runs as in its image; none: the image's user", None)
    port: int = setting("where the site answers in its container", 8000, minimum=1)
    health: str = setting(
        "the path that is asked whether the site is up", "/", pattern="/.*", form="a path, from /"
    )
    health_status: int = setting("the status of a site that is up; 0: any below 500", 0)
    health_headers: Mapping[str, str] = setting("headers of that request", LOCALHOST)
    command: tuple[str, ...] = setting("what starts the site; []: the image's own command", ())
    environment_files: tuple[str, ...] = setting("files of variables, NAME=VALUE a line", ())
    environment: Mapping[str, str] = setting(
        "variables of the site in every step, over the usual ones", EMPTY, complaint=_value_complaint
    )
    secrets: Mapping[str, str] = setting(
        "variables whose values are on this machine: `variable:NAME` or `file:PATH`",
        EMPTY,
        pattern="(variable|file):.+",
        form="variable:NAME or file:PATH",
        is_secret=True,
    )
    mounts: tuple[str, ...] = setting(
        "files or folders of the repository that its containers see, PATH:PATH_IN_THE_CONTAINER",
        (),
        pattern=MOUNT,
        form="PATH:/PATH",
    )
    aliases: Mapping[str, str] = setting(
        "addresses that the site has written in, HOST or HOST:PORT, and which service each is: "
        "`database` or `solr`",
        EMPTY,
        pattern="database|solr",
        form="database or solr",
        names=ADDRESS,
        names_form="HOST or HOST:PORT; of IP addresses, a container has only its own, 127.0.0.1",
    )
    index: StepSettings = field(default_factory=StepSettings)
    test: StepSettings = field(default_factory=StepSettings)
    release: StepSettings = field(default_factory=StepSettings)


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """The names of the Dockerfile's stages (`[tool.haybale.stages]`)."""

    release: str | None = setting("what is deployed; none: the last stage of your Dockerfile", None)
    tester: str | None = setting("what the tests run in; none: haybale makes it of the release stage", None)
    solr: str | None = setting("the Solr that gets the index; none: haybale's own", None)


@dataclass(frozen=True, kw_only=True)
class DockerfileSettings:
    """What haybale's own Dockerfile does (`[tool.haybale.image]`); yours says that itself."""

    packages: tuple[str, ...] = setting("Debian packages that the site needs", ())
    build_packages: tuple[str, ...] = setting("Debian packages that installing its requirements needs", ())
    collectstatic: bool = setting("run collectstatic", default=True)


@dataclass(frozen=True, kw_only=True)
class ComposeSettings:
    """Your compose files, added over haybale's own (`[tool.haybale.compose]`)."""

    solr: str | None = setting("for the environment that indexes", None)
    ci: str | None = setting("for the environment that tests", None)


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """How the site's database is made of the dump (`[tool.haybale.database]`)."""

    name: str = setting("what the PostgreSQL database is called", "site", pattern=".+", form="not empty")
    user: str = setting(
        "who the site logs in to PostgreSQL as",
        "site",
        pattern="(?!haybale$).+",
        form="not empty, and not haybale, who makes the databases",
    )
    password: str = setting(
        "that user's password", "only-here", pattern=".+", form="not empty", is_secret=True
    )
    path: str | None = setting(
        "where the site opens its SQLite file, if that is written in: the image gets a link there, to "
        "/data/db.sqlite3",
        None,
        pattern=r"(/[\w.-]+)+",
        form="a file's path in the image, without blanks",
    )
    restore: str = setting(
        "a PostgreSQL statement that fails: `lenient` goes on while no table and no row is lost",
        "lenient",
        pattern="lenient|strict",
    )
    commands: tuple[str, ...] = setting(
        "commands of manage.py that make it ready, in order", ("migrate --noinput",)
    )
    fetch: tuple[str, ...] = setting("a command that brings the dump to {file}, where it is not in git", ())
    sha256: str | None = setting(
        "the SHA-256 of the file that `fetch` brings",
        None,
        pattern="[0-9a-f]{64}",
        form="64 hexadecimal digits",
    )
    extensions: tuple[str, ...] = setting(
        "PostgreSQL extensions that the dump gets though they need a superuser", (),
        pattern="[a-z0-9_-]+", form="an extension's name",
    )  # fmt: skip
    limit: str = setting(
        "how much the dump may hold, unpacked, such as 500m or 64g", "64g",
        pattern="[0-9]+[mg]", form="a number and m or g",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """How the index is made and verified (`[tool.haybale.index]`)."""

    batch: int = setting("documents in a request; 0: what the loader measures to be fastest", 0)
    workers: int = setting("processes that prepare documents; 0: as many as make it faster", 0)
    sample: int = setting("documents of each model compared field by field", 200, minimum=1)
    verify: str = setting("`full`: compare all of them", "sample", pattern="sample|full")
    verify_ignore: tuple[str, ...] = setting("fields that are not compared: app.model.field", ())
    heap: str | None = setting(
        "Solr's heap while it indexes, such as 1g; none: by the memory", None, pattern="[0-9]+[mg]"
    )
    optimize: bool = setting("rewrite the index into one segment before it is baked", default=True)
    serve: str = setting(
        "what the baked Solr answers: searches alone, or whatever it is asked",
        "read-only",
        pattern="read-only|open",
    )
    inputs: tuple[str, ...] = setting("globs of further files that count for the index key", ())
    ignore: tuple[str, ...] = setting("inputs that do not count for the index key: globs, HOST:PORT", ())
    unknown: str = setting("what to do when the loader reads something else", "fail", pattern="fail|warn")

    @property
    def is_closed(self) -> bool:
        """Whether the baked Solr answers nothing but searches."""
        return self.serve == "read-only"


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """A suite of tests (`[tool.haybale.test.suites.NAME]`)."""

    command: tuple[str, ...] = setting("what runs it; {report} in it is where its JUnit XML goes")
    where: str = setting(
        "in the container of the tests, in the site's own, or on this machine",
        "tester",
        pattern="tester|web|host",
    )
    folder: str | None = setting("its working directory; none: the container's, or the repository", None)
    environment: Mapping[str, str] = setting("variables of its own", EMPTY, complaint=_value_complaint)
    mounts: tuple[str, ...] = setting(
        "files or folders of the repository that it sees, PATH:PATH_IN_THE_CONTAINER",
        (),
        pattern=MOUNT,
        form="PATH:/PATH",
    )
    gates: bool = setting("whether its failure fails the run", default=True)
    set_aside: tuple[str, ...] = setting("ids of pytest's tests that are not run, for now", ())


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """A page that the released site must show with the baked index (`[[tool.haybale.test.pages]]`)."""

    path: str = setting("what is asked, from /", pattern="/.*", form="a path, from /")
    status: int = setting("the answer's status", 200)
    contains: str | None = setting("text that is in the answer", None)
    headers: Mapping[str, str] = setting("headers of the request", LOCALHOST)
    cookies: Mapping[str, str] = setting("its cookies", EMPTY)


@dataclass(frozen=True, kw_only=True)
class TestSettings:
    """What `test` runs (`[tool.haybale.test]`)."""

    install: str | None = setting(
        "a shell command that installs what the tests need, as root, in the tester that haybale makes", None
    )
    suites: Mapping[str, SuiteSettings] = field(default_factory=dict, metadata={"names": WORD})
    pages: tuple[PageSettings, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A place that versions are deployed to (`[tool.haybale.environments.NAME]`)."""

    after: str | None = setting("the environment that a version must have been deployed to before", None)
    namespace: str | None = setting("its Kubernetes namespace; none: NAME-ENVIRONMENT", None, pattern=NAME)
    host: str | None = setting("the host name that it is reached by", None, pattern=HOST, form="a host name")


def _image_word_complaint(text: str) -> str | None:
    try:
        text.format(**dict.fromkeys(IMAGE_WORDS, ""))
    except (KeyError, ValueError, IndexError, AttributeError):
        words = ", ".join(f"{{{word}}}" for word in IMAGE_WORDS)
        return f"is a text with these words in it: {words}"
    return None


@dataclass(frozen=True, kw_only=True)
class FluxSettings:
    """How Flux learns of a deployment (`[tool.haybale.flux]`)."""

    forge: str = setting(
        "who tells it: the repository's forge, or your own webhook", "github", pattern="github|gitlab|generic"
    )
    url: str | None = setting(
        "where Flux fetches the repository from; none: where `origin` is",
        None,
        pattern=GIT_URL,
        form="a URL that begins with https:// or ssh://",
    )
    credentials: str | None = setting("the Secret that Flux fetches with; none: public", None, pattern=NAME)
    namespace: str = setting("the namespace of Flux's own objects", "flux-system", pattern=NAME)
    interval: str = setting("how often Flux polls", "10m", pattern=r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+")
    folder: str = setting("the folder of the manifests", "deploy", pattern=FOLDER)
    overlay: str | None = setting(
        "your own manifests: the folder that is applied, with {environment}; none: haybale's",
        None,
        pattern=FOLDER_OF_ENVIRONMENT,
        form="a path from the repository's top",
    )
    site_image: str = setting("what the manifests call the site's image", "haybale-site", pattern=IMAGE)
    index_image: str = setting("what the manifests call the index image", "haybale-index", pattern=IMAGE)
    chart: str | None = setting("the folder of your Helm chart; none: manifests", None, pattern=FOLDER)
    value_files: tuple[str, ...] = setting(
        "files of values over the chart's, with {environment}",
        (),
        pattern=FOLDER_OF_ENVIRONMENT,
        form="a path from the repository's top",
    )
    values: Mapping[str, str] = setting(
        "the chart's values that say which images run; none: the usual ones",
        EMPTY,
        complaint=_image_word_complaint,
    )


def _command_complaint(command: str) -> str | None:
    try:
        return None if shlex.split(command) else "is a command"
    except ValueError as error:
        return f"is a command ({str(error).lower()})"


@dataclass(frozen=True, kw_only=True)
class HookSettings:
    """Commands around a state of the pipeline (`[tool.haybale.hooks.NAME]`)."""

    before: tuple[str, ...] = setting(
        "commands before it; one that fails stops the pipeline", (), complaint=_command_complaint
    )
    after: tuple[str, ...] = setting(
        "commands after it, also where it failed; one that fails fails the run",
        (),
        complaint=_command_complaint,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`[tool.haybale]`: everything that can be set, with its default."""

    name: str = setting("short name of the site; compose projects are NAME-solr and NAME-ci", pattern=WORD)
    registry: str = setting(
        "repository of all images; REGISTRY overrides it",
        complaint=_repository_complaint,
        variable="REGISTRY",
        parse=_lowercase_path,
    )
    core: str | tuple[str, ...] | None = setting(
        "name of the Solr core, or a list of names; none: the cores that HAYSTACK_CONNECTIONS names",
        None,
        pattern=CORE,
    )
    local: bool = setting(
        "there is no registry: images stay on this engine; HAYBALE_LOCAL overrides it",
        default=False,
        variable="HAYBALE_LOCAL",
        parse=lambda text: TRUTH.get(text.lower(), text),
    )
    main: str = setting("the branch to release from", "main", pattern=BRANCH, form="the name of a branch")
    dump: str = setting("glob that matches the dump's symlink", "dumps/*latest.sql*")
    fixtures: tuple[str, ...] = setting("files that Django's loaddata loads after the dump, in order", ())
    solr_conf: str | Mapping[str, str] | None = setting(
        "folder with Solr's configuration, a core's own or a Solr home; or a table with one of each core; "
        "none: haybale makes it of the site's search indexes",
        None,
    )
    dockerfile: str | None = setting("your Dockerfile; none: haybale's own, for a Django site", None)
    site: SiteSettings = field(default_factory=SiteSettings)
    stages: StageSettings = field(default_factory=StageSettings)
    image: DockerfileSettings = field(default_factory=DockerfileSettings)
    compose: ComposeSettings = field(default_factory=ComposeSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    images: ImageSettings = field(default_factory=ImageSettings)
    build: BuildSettings = field(default_factory=BuildSettings)
    requirements: RequirementsSettings = field(default_factory=RequirementsSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    test: TestSettings = field(default_factory=TestSettings)
    flux: FluxSettings = field(default_factory=FluxSettings)
    environments: Mapping[str, Environment] = field(
        default_factory=dict, metadata={"names": rf"(?!last$){NAME}"}
    )

    hooks: Mapping[str, HookSettings] = field(default_factory=dict, metadata={"names": "|".join(State)})

    @property
    def cores(self) -> tuple[str, ...]:
        """The names of the cores in their order; () where they are those of HAYSTACK_CONNECTIONS."""
        return (self.core,) if isinstance(self.core, str) else self.core or ()

    @property
    def solr_conf_folders(self) -> tuple[str, ...]:
        """The folders with a core's configuration, each once."""
        conf = self.solr_conf or {}
        return tuple(dict.fromkeys((conf,) if isinstance(conf, str) else conf.values()))


@dataclass(frozen=True, kw_only=True)
class Project:
    """A repository and its settings.

    `root` (absolute) is the work tree that is read and built. A version is built from a temporary work tree:
    `origin` is the user's then, with the dump, the notes and the reports; otherwise it is None.
    """

    root: Path
    settings: Settings
    origin: Path | None = None

    @property
    def home(self) -> Path:
        """The user's work tree, whichever one is built: dump, reports and `.haybale` are there."""
        return self.origin or self.root

    @property
    def scratch(self) -> Path:
        """The git-ignored folder of haybale's own files."""
        return self.home / ".haybale"

    @property
    def reports(self) -> Path:
        """The git-ignored folder where `test` leaves JUnit XML and logs."""
        return self.home / "reports"

    def path(self, relative: str) -> Path:
        """Return a setting's path, absolute."""
        return self.root / relative


@dataclass(frozen=True, kw_only=True)
class SettingValue:
    """A setting as it is now.

    `name` is such as index.batch, `source` where its value comes from: FILE:LINE, a variable of the
    environment, or None for the default.
    """

    name: str
    value: Any
    source: str | None
    description: str


def load(start: Path, env: Mapping[str, str]) -> Project:
    """Find the repository from `start` upwards, and read its settings; variables in `env` override the file.

    Raises `ConfigError` where there is no `[tool.haybale]`, or where it has something unknown or wrong.
    """
    project, _ = _load(start, env)
    return project


def explain_settings(start: Path, env: Mapping[str, str]) -> list[SettingValue]:
    """Return every setting of the repository that `load` finds, in the order of the documentation."""
    project, reader = _load(start, env)
    return [
        SettingValue(
            name=".".join(path),
            value=value,
            source=reader.source(path),
            description=each.metadata["description"],
        )
        for path, value, each in _walk(project.settings, ())
    ]


def _walk(table: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, dataclasses.Field[Any]]]:
    """Yield the settings of a table and of those in it: path, value and declaration."""
    for each in dataclasses.fields(table):
        value, here = getattr(table, each.name), (*path, each.name)
        if "description" in each.metadata:
            yield here, value, each
        elif dataclasses.is_dataclass(value):
            yield from _walk(value, here)
        else:
            named = value.items() if isinstance(value, Mapping) else enumerate(value)
            for name, inner in named:
                yield from _walk(inner, (*here, str(name)))


def _load(start: Path, env: Mapping[str, str]) -> tuple[Project, _Reader]:
    start = start.resolve()
    for root in (start, *start.parents):
        file = root / FILE
        if not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8")
            document = tomllib.loads(text)
        except (OSError, ValueError) as error:  # neither UTF-8 nor TOML are a ValueError of their own
            cause = "it cannot be read, or is not valid TOML"
            raise ConfigError(f"{file}: {error}", cause=cause, hint="fix it and try again") from error
        tool = document.get("tool")
        table = tool.get("haybale") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            reader = _Reader(file, text, env)
            return Project(root=root, settings=reader.read(table)), reader
    raise ConfigError(
        f"no {FILE} with a [{TABLE}] table in {start} or above it",
        cause="this is not a repository that haybale knows",
        hint=f"go to the repository, or add [{TABLE}] with name and registry to its {FILE}",
    )


class _Reader:
    """Makes settings from a file's table and the environment, and notes every problem with its place."""

    def __init__(self, file: Path, text: str, env: Mapping[str, str]) -> None:
        self._file, self._text, self._env = file, text, env
        self._variables: dict[tuple[str, ...], str] = {}
        self._in_file: set[tuple[str, ...]] = set()
        self._problems: list[str] = []

    def read(self, table: Mapping[str, Any]) -> Settings:
        """Return the settings; raises `ConfigError` with all problems."""
        settings = self._table(Settings, table, ())
        if not self._problems:
            self._check_order(settings.environments)
            self._check_cores(settings)
            self._check_aliases(settings.site)
        if self._problems:
            raise ConfigError("\n".join(self._problems), hint="fix these settings and try again")
        return settings

    def _table(self, kind: type[T], data: Any, path: tuple[str, ...]) -> T:
        """Make a table: each setting from its variable, else from the file, else its default."""
        data = self._checked_table(data, path)
        known = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for key in [key for key in data if key not in known]:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            self._note((*path, key), f"unknown setting {'.'.join((*path, key))!r}; {hint}")
        values: dict[str, Any] = {}
        for name, type_ in typing.get_type_hints(kind).items():
            here, each = (*path, name), known[name]
            variable = each.metadata.get("variable")
            if dataclasses.is_dataclass(type_):
                values[name] = self._table(typing.cast("type[Any]", type_), data.get(name, {}), here)
            elif "description" not in each.metadata and typing.get_origin(type_) is tuple:
                values[name] = self._list(typing.get_args(type_)[0], data.get(name, []), here)
            elif "description" not in each.metadata:
                tables = data.get(name, {})
                values[name] = self._tables(typing.get_args(type_)[1], tables, here, each.metadata)
            elif variable and self._env.get(variable):
                self._variables[here] = variable
                value = each.metadata["parse"](self._env[variable])
                values[name] = self._checked(value, type_, each, here)
            elif name in data:
                self._in_file.add(here)
                values[name] = self._checked(data[name], type_, each, here)
            elif default_of(each) is dataclasses.MISSING:
                self._note(path, f"the setting {name!r} is missing ({each.metadata['description']})")
                values[name] = None
        return kind(**values)

    def _tables(
        self, kind: type[T], data: Any, path: tuple[str, ...], rule: Mapping[str, Any]
    ) -> Mapping[str, T]:
        """Make a table for each name in a table of tables; `rule` says how names are."""
        data = self._checked_table(data, path)
        self._check_names(data, rule, path)
        return {name: self._table(kind, table, (*path, name)) for name, table in data.items()}

    def _check_names(self, data: Iterable[str], rule: Mapping[str, Any], path: tuple[str, ...]) -> None:
        """Note the names in a table that do not match what `rule` has for them, if anything."""
        pattern, words = rule.get("names"), rule.get("names_form")
        for name in data:
            if pattern and not re.fullmatch(pattern, name):
                wanted = f"a name there is {words}" if words else f"a name there has the form {pattern}"
                self._note((*path, name), f"{'.'.join(path)} has {name!r}; {wanted}")

    def _list(self, kind: type[T], data: Any, path: tuple[str, ...]) -> tuple[T, ...]:
        """Make each table of an array of tables."""
        if not isinstance(data, list):
            self._note(path, f"{'.'.join(path)} is an array of tables, [[{TABLE}.{'.'.join(path)}]]")
            return ()
        return tuple(self._table(kind, table, (*path, str(number))) for number, table in enumerate(data))

    def _checked_table(self, data: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if isinstance(data, dict):
            return data
        # What is in a list may be secret.
        shown = "an array" if isinstance(data, list) else without_password(repr(data))
        self._note(path, f"{'.'.join(path)} is a table, not {shown}")
        return {}

    def _checked(self, value: Any, type_: Any, each: dataclasses.Field[Any], path: tuple[str, ...]) -> Any:
        """Return a value as the setting has it; note where it is wrong."""
        if each.default is None and value == "":
            return None
        if type_ == Mapping[str, str] and isinstance(value, dict):
            # Each has a line of its own.
            self._check_names(value, each.metadata, path)
            return {name: self._checked(part, str, each, (*path, name)) for name, part in value.items()}
        checked = tuple(value) if isinstance(value, list) else value
        if complaint := _complaint(checked, type_, each.metadata):
            description = each.metadata["description"]
            shown = "what stands there" if each.metadata["is_secret"] else without_password(repr(value))
            self._note(path, f"{'.'.join(path)} {complaint}, not {shown} ({description})")
        return checked

    def _check_order(self, environments: Mapping[str, Environment]) -> None:
        """Note an environment that comes after one that does not exist, or after itself."""
        for name, environment in environments.items():
            path, order = ("environments", name, "after"), [name]
            while (after := environments[order[-1]].after) and after in environments and after not in order:
                order.append(after)
            if environment.after and environment.after not in environments:
                known = ", ".join(environments)
                self._note(path, f"{'.'.join(path)} is {environment.after!r}; known here: {known}")
            elif after == name:
                self._note(path, f"{'.'.join(path)} leads back to it: {' after '.join([*order, name])}")

    def _check_cores(self, settings: Settings) -> None:
        """Note a core without a folder of configuration, and a folder without a core."""
        if not isinstance(settings.solr_conf, Mapping) or not settings.cores:
            return
        for core in sorted({*settings.cores} ^ {*settings.solr_conf}):
            missing = "a folder for it" if core in settings.cores else "it in `core`"
            self._note(("solr_conf",), f"solr_conf and core: {core!r}: there is not {missing}")

    def _check_aliases(self, site: SiteSettings) -> None:
        """Note addresses that cannot be had at once."""
        for problem in find_conflicts(site.aliases, site.port):
            self._note(("site", "aliases"), f"site.aliases: {problem}")

    def source(self, path: tuple[str, ...]) -> str | None:
        """Return where a setting's value comes from: a variable, or FILE:LINE; None for its default."""
        if path in self._variables:
            return f"environment variable {self._variables[path]}"
        return f"{self._file.name}:{line_of(self._text, path)}" if path in self._in_file else None

    def _note(self, path: tuple[str, ...], problem: str) -> None:
        variable = self._variables.get(path)
        place = (
            f"environment variable {variable}" if variable else f"{self._file}:{line_of(self._text, path)}"
        )
        self._problems.append(f"{place}: {problem}")


def _complaint(value: Any, type_: Any, rule: Mapping[str, Any]) -> str | None:
    """Return what a value should have been, None where it is valid."""
    if containers := {tuple, Mapping} & {typing.get_origin(part) for part in typing.get_args(type_)}:
        return _complaint_of_one_or_several(value, containers.pop(), rule)
    if type_ in {tuple[str, ...], Mapping[str, str]}:
        return _complaint_of_several(value, typing.get_origin(type_), rule)
    # bool is an int to Python, but not to somebody who writes `batch = true`.
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        return {int: "is a whole number", bool: "is true or false"}.get(type_, "is a string in quotes")
    if type_ is int and value < rule["minimum"]:
        return f"is at least {rule['minimum']}"
    if rule["pattern"] and not re.fullmatch(rule["pattern"], value):
        return f"is {rule['form']}" if rule["form"] else f"has the form {rule['pattern']}"
    return rule["complaint"](value) if rule["complaint"] else None


def _complaint_of_several(value: Any, container: Any, rule: Mapping[str, Any]) -> str | None:
    """As `_complaint`, of a list of strings or a table of them; each is judged alone."""
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, container) or not all(isinstance(part, str) for part in parts):
        return f"is a {'table' if container is Mapping else 'list'} of strings"
    return next(filter(None, (_complaint(part, str, rule) for part in parts)), None)


def _complaint_of_one_or_several(value: Any, container: Any, rule: Mapping[str, Any]) -> str | None:
    """As `_complaint`, where a string may be several: a list of them, or a table."""
    if not value or not isinstance(value, str | container):
        return f"is a string in quotes, or a {'table' if container is Mapping else 'list'} of such"
    if isinstance(value, str):
        return _complaint(value, str, rule)
    complaint = _complaint_of_several(value, container, rule)
    is_doubled = container is tuple and complaint is None and len({*value}) < len(value)
    return "has each name once" if is_doubled else complaint


def without_password(text: str) -> str:
    """Return a text without the user and the password of URLs in it, or of an image's name that it quotes."""
    quoted = QUOTED_LOGIN.sub(r"\1***@", text)
    return re.sub(r"//[^/@\s'\"]*@", "//***@", quoted)


def place_of(project: Project, *path: str) -> str:
    """Return FILE:LINE of a setting in the repository's settings, or of the table that it belongs to."""
    text = (project.root / FILE).read_text(encoding="utf-8")
    return f"{FILE}:{line_of(text, path)}"


def line_of(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) where a setting begins in the text of a TOML file, however it is written.

    Where the setting is missing, that of the table that it belongs to. The text is valid TOML.
    """
    wanted = (*TABLE.split("."), *path)
    found, depth = 1, 0
    for start, document in _documents(text):
        if (reached := _depth(document, wanted)) > depth:
            found, depth = start, reached
    return found


@functools.lru_cache(maxsize=1)
def _documents(text: str) -> tuple[tuple[int, dict[str, Any]], ...]:
    """Return what a TOML file says up to each statement in it, with the statement's first line.

    It is asked for once for each setting of the same file, and takes a parser once for each line.
    """
    lines = text.split("\n")
    found, start = [], 1
    for number in range(1, len(lines) + 1):
        try:
            found.append((start, tomllib.loads("\n".join(lines[:number]))))
        except tomllib.TOMLDecodeError:
            continue  # a value goes on in the next line
        start = number + 1
    return tuple(found)


def _depth(document: Any, path: Sequence[str]) -> int:
    """Return how many parts of a path there are in a document."""
    for depth, key in enumerate(path):
        if isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        elif isinstance(document, dict) and key in document:
            document = document[key]
        else:
            return depth
    return len(path)
