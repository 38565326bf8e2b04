"""The settings: `[tool.haybale]` in the repository's pyproject.toml, and environment variables over it.

A setting is declared once, as a field of a class below. All are checked before anything is started; every
problem is named with its file and line. Plain dataclasses: every verb waits for this module, and a validation
library costs a third of what `version` may take (docs/adr/0004).
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from haybale.errors import ConfigError
from haybale.image_ref import ImageRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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

T = TypeVar("T")


def setting(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    pattern: str | None = None,
    form: str | None = None,
    minimum: int = 0,
    complaint: Callable[[str], str | None] | None = None,
    variable: str | None = None,
    parse: Callable[[str], Any] = str,
) -> Any:
    """Declare a setting: what it is for, its default, which values are valid, and what overrides it.

    A string is valid where it matches `pattern` whole (`form` says that in words), and `complaint` does not
    return what it should have been ("is ..."). `variable` is the environment variable that overrides the
    file, `parse` makes a value of its text. Where the default is None, "" means None too.
    """
    metadata = {
        "description": description, "pattern": pattern, "form": form, "minimum": minimum,
        "complaint": complaint, "variable": variable, "parse": parse,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


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
    """How the site's requirements are compiled (`[tool.haybale.requirements]`)."""

    source: str = setting("what the site asks for, in two parts", "web/requirements.in")
    marker: str = setting("the heading that begins the development part", "# Dev")
    dev_source: str | None = setting("a second input file, in place of the heading", None)
    everything: str = setting("output: production and development", "web/requirements.txt")
    production: str = setting("output: production only", "web/requirements.prod.txt")
    development: str | None = setting(
        "a requirements file that the tester installs besides; none: the lock's, or nothing", None
    )
    groups: tuple[str, ...] = setting("a lock's groups that production has besides its own", ())
    extras: tuple[str, ...] = setting("a lock's extras that production has", ())
    package: str | None = setting("the site's package in a uv workspace; none: the one at its root", None)
    python: str = setting("the image's Python, which they are for", "3.13", pattern=r"3\.[0-9]+(\.[0-9]+)?")
    machine: str = setting("the machine that they are for", "x86_64", pattern="x86_64|aarch64")


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
    inputs: tuple[str, ...] = setting("globs of further files that count for the index key", ())
    ignore: tuple[str, ...] = setting("inputs that do not count for the index key: globs, HOST:PORT", ())
    restore: str = setting(
        "a PostgreSQL statement that fails: `lenient` goes on while no table and no row is lost",
        "lenient",
        pattern="lenient|strict",
    )
    unknown: str = setting("what to do when the loader reads something else", "fail", pattern="fail|warn")


@dataclass(frozen=True, kw_only=True)
class TestSettings:
    """What `test` runs (`[tool.haybale.test]`); each is a command, [] to leave it out."""

    site: tuple[str, ...] = setting("the site's tests, in the tester container", ("pytest", "/tests/site"))
    browser: tuple[str, ...] = setting("browser tests, in the tester container", ("pytest", "/tests/browser"))
    repository: tuple[str, ...] = setting(
        "the repository's tests, on the host", ("python", "-m", "pytest", "tests/unit", "tests/integration")
    )


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A place that versions are deployed to (`[tool.haybale.environments.NAME]`)."""

    after: str | None = setting("the environment that a version must have been deployed to before", None)
    namespace: str | None = setting("its Kubernetes namespace; none: NAME-ENVIRONMENT", None, pattern=NAME)
    host: str | None = setting("the host name that it is reached by", None, pattern=HOST, form="a host name")


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
    folder: str = setting("the folder of the manifests", "deploy", pattern=r"\w[\w.-]*(/\w[\w.-]*)*")


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
    site: str = setting("the site's folder, the working directory of its image", "web")
    dump: str = setting("glob that matches the dump's symlink", "dumps/*latest.sql*")
    fixtures: tuple[str, ...] = setting("files that Django's loaddata loads after the dump, in order", ())
    solr_conf: str | Mapping[str, str] = setting(
        "folder with schema.xml and solrconfig.xml, or a table with the folder of each core", "solr_conf"
    )
    dockerfile: str = setting("the Dockerfile with the stages", "Dockerfile")
    images: ImageSettings = field(default_factory=ImageSettings)
    build: BuildSettings = field(default_factory=BuildSettings)
    requirements: RequirementsSettings = field(default_factory=RequirementsSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    test: TestSettings = field(default_factory=TestSettings)
    flux: FluxSettings = field(default_factory=FluxSettings)
    environments: Mapping[str, Environment] = field(default_factory=dict)

    @property
    def cores(self) -> tuple[str, ...]:
        """The names of the cores in their order; () where they are those of HAYSTACK_CONNECTIONS."""
        return (self.core,) if isinstance(self.core, str) else self.core or ()

    @property
    def solr_conf_folders(self) -> tuple[str, ...]:
        """The folders with a core's configuration, each once."""
        folders = (self.solr_conf,) if isinstance(self.solr_conf, str) else self.solr_conf.values()
        return tuple(dict.fromkeys(folders))


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
        if dataclasses.is_dataclass(value):
            yield from _walk(value, here)
        elif isinstance(value, Mapping) and not each.metadata:
            for name, inner in value.items():
                yield from _walk(inner, (*here, name))
        else:
            yield here, value, each


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
            elif typing.get_origin(type_) is Mapping:
                values[name] = self._tables(typing.get_args(type_)[1], data.get(name, {}), here)
            elif variable and self._env.get(variable):
                self._variables[here] = variable
                value = each.metadata["parse"](self._env[variable])
                values[name] = self._checked(value, type_, each, here)
            elif name in data:
                self._in_file.add(here)
                values[name] = self._checked(data[name], type_, each, here)
            elif each.default is dataclasses.MISSING:
                self._note(path, f"the setting {name!r} is missing ({each.metadata['description']})")
                values[name] = None
        return kind(**values)

    def _tables(self, kind: type[T], data: Any, path: tuple[str, ...]) -> Mapping[str, T]:
        """Make a table for each name in a table of tables."""
        data = self._checked_table(data, path)
        rule = (
            "a name has lower case letters, digits and, between them, dashes, at most 40, and is not `last`"
        )
        for name in data:
            if not re.fullmatch(NAME, name) or name == "last":
                self._note((*path, name), f"{'.'.join(path)} has {name!r}; {rule}")
        return {name: self._table(kind, table, (*path, name)) for name, table in data.items()}

    def _checked_table(self, data: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if isinstance(data, dict):
            return data
        self._note(path, f"{'.'.join(path)} is a table, not {data!r}")
        return {}

    def _checked(self, value: Any, type_: Any, each: dataclasses.Field[Any], path: tuple[str, ...]) -> Any:
        """Return a value as the setting has it; note where it is wrong."""
        if each.default is None and value == "":
            return None
        checked = tuple(value) if isinstance(value, list) else value
        if complaint := _complaint(checked, type_, each.metadata):
            description = each.metadata["description"]
            self._note(path, f"{'.'.join(path)} {complaint}, not {value!r} ({description})")
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
        if isinstance(settings.solr_conf, str) or not settings.cores:
            return
        for core in sorted({*settings.cores} ^ {*settings.solr_conf}):
            missing = "a folder for it" if core in settings.cores else "it in `core`"
            self._note(("solr_conf",), f"solr_conf and core: {core!r}: there is not {missing}")

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
        return _complaint_of_several(value, containers.pop(), rule)
    if type_ == tuple[str, ...]:
        is_valid = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
        return None if is_valid else "is a list of strings"
    # bool is an int to Python, but not to somebody who writes `batch = true`.
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        return {int: "is a whole number", bool: "is true or false"}.get(type_, "is a string in quotes")
    if type_ is int and value < rule["minimum"]:
        return f"is at least {rule['minimum']}"
    if rule["pattern"] and not re.fullmatch(rule["pattern"], value):
        return f"is {rule['form']}" if rule["form"] else f"has the form {rule['pattern']}"
    return rule["complaint"](value) if rule["complaint"] else None


def _complaint_of_several(value: Any, container: Any, rule: Mapping[str, Any]) -> str | None:
    """As `_complaint`, where a string may be several: a list of them, or a table."""
    parts: tuple[Any, ...] = (value,)
    if isinstance(value, container):
        parts = tuple(value.values()) if isinstance(value, Mapping) else value
    if not parts or not all(isinstance(part, str) for part in parts):
        return f"is a string in quotes, or a {'table' if container is Mapping else 'list'} of such"
    if container is tuple and len({*parts}) < len(parts):
        return "has each name once"
    return next(filter(None, (_complaint(part, str, rule) for part in parts)), None)


def line_of(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) where a setting begins in the text of a TOML file, however it is written.

    Where the setting is missing, that of the table that it belongs to. The text is valid TOML.
    """
    wanted, lines = (*TABLE.split("."), *path), text.split("\n")
    found, depth, start = 1, 0, 1
    for number in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # a value goes on in the next line
        if (reached := _depth(document, wanted)) > depth:
            found, depth = start, reached
        start = number + 1
    return found


def _depth(document: Any, path: Sequence[str]) -> int:
    """Return how many parts of a path there are in a document."""
    for depth, key in enumerate(path):
        if not isinstance(document, dict) or key not in document:
            return depth
        document = document[key]
    return len(path)
