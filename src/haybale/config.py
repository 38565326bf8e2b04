"""What haybale is told: `[tool.haybale]` in the repository's pyproject.toml, and a few environment variables.

Validated whole before anything is started; every complaint names the file and the line. Plain dataclasses:
every verb waits for this module, and a validation library costs a third of what `version` may take
(docs/adr/0004).
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from haybale.errors import ConfigError
from haybale.image_ref import ImageRef

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FILE = "pyproject.toml"
TABLE = "tool.haybale"

WORD = r"[a-z0-9][a-z0-9_-]*"
# What can be part of a git ref, a host name and a Kubernetes name alike (RFC 1123, 2.1), with room for more.
NAME = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"

T = TypeVar("T")


def setting(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    pattern: str = "",
    least: int = 0,
    judge: Callable[[str], str] | None = None,
) -> Any:
    """Declare a setting: what it is for, its default, and what is right for it.

    That is the pattern it matches whole, the least number, or a function that returns what a text should have
    been ("is ..."), "" where it is right.
    """
    metadata = {"description": description, "pattern": pattern, "least": least, "judge": judge}
    return field(default=default, metadata=metadata)


def _image(name: str) -> str:
    try:
        ImageRef.parse(name)
    except ConfigError as error:
        return f"is an image's name ({error.cause})"
    return ""


def _repository(name: str) -> str:
    wrong = _image(name)
    if not wrong and (ImageRef.parse(name).tag or ImageRef.parse(name).digest):
        return "is an image's name without tag and digest"
    return wrong


def _branch(name: str) -> str:
    # The rules of git-check-ref-format(1) that a slip of the hand breaks.
    wrong = not name or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.$|/$|\.lock(/|$)|^[-/]", name)
    return "is the name of a branch" if wrong else ""


def _host(name: str) -> str:
    # RFC 1123, 2.1; Kubernetes takes no capitals.
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    return "" if not name or re.fullmatch(rf"{label}(\.{label})*", name) else "is a host name"


def _git_url(url: str) -> str:
    # What Flux's GitRepository takes (its CRD); git's user@host:path is ssh://user@host/path there.
    right = not url or re.fullmatch(r"(https?|ssh)://[^\s\"'\\]+", url)
    return "" if right else "is a URL that begins with https:// or ssh://"


@dataclass(frozen=True, kw_only=True)
class Images:
    """The base images (`[tool.haybale.images]`); `PYTHON_IMAGE` and so on override them."""

    python: str = setting("base of the site's image", "python:3.13-slim", judge=_image)
    solr: str = setting("the Solr that indexes and serves", "solr:9.10.1-slim", judge=_image)
    postgres: str = setting(
        "the server that a PostgreSQL dump is restored to, at least as new as the dump's",
        "postgres:17",
        judge=_image,
    )


@dataclass(frozen=True, kw_only=True)
class Build:
    """How images are built (`[tool.haybale.build]`)."""

    provenance: bool = setting("attach a provenance attestation", default=False)
    sbom: bool = setting("attach a software bill of materials", default=False)
    cache: bool = setting("use the registry as a build cache where that is possible", default=True)
    platform: str = setting("such as linux/amd64,linux/arm64; empty: the engine's own", "")


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """How the site's requirements are compiled (`[tool.haybale.requirements]`)."""

    source: str = setting("what the site asks for, in two parts", "web/requirements.in")
    marker: str = setting("the heading that begins the development part", "# Dev")
    dev_source: str = setting("a second input file, in place of the heading", "")
    everything: str = setting("output: production and development", "web/requirements.txt")
    production: str = setting("output: production only", "web/requirements.prod.txt")
    python: str = setting(
        "the Python that they are for: the image's", "3.13", pattern=r"3\.[0-9]+(\.[0-9]+)?"
    )
    machine: str = setting("the machine that they are for", "x86_64", pattern="x86_64|aarch64")


@dataclass(frozen=True, kw_only=True)
class Index:
    """How the index is made and proved (`[tool.haybale.index]`)."""

    batch: int = setting("documents a request; 0: as many as pay, by what the loader measures", 0)
    workers: int = setting("processes that prepare documents; 0: as many as pay", 0)
    sample: int = setting("documents of each model compared field by field", 200, least=1)
    verify: str = setting("`full`: compare all of them", "sample", pattern="sample|full")
    heap: str = setting(
        "Solr's heap while it indexes, such as 1g; empty: by the memory", "", pattern="([0-9]+[mg])?"
    )
    optimize: bool = setting("rewrite the index into one segment before it is baked", default=True)
    inputs: tuple[str, ...] = setting(
        "globs of further files that determine the index; they count for the index key", ()
    )
    ignore: tuple[str, ...] = setting(
        "what preparing documents may read without its counting for the index key: globs, HOST:PORT", ()
    )
    unknown: str = setting(
        "what happens when preparing documents reads something else", "fail", pattern="fail|warn"
    )


@dataclass(frozen=True, kw_only=True)
class Test:
    """What `test` runs (`[tool.haybale.test]`); each is a command, empty to leave it out."""

    site: tuple[str, ...] = setting("the site's tests, in the tester container", ("pytest", "/tests/site"))
    browser: tuple[str, ...] = setting(
        "the browser tests, in the tester container", ("pytest", "/tests/browser")
    )
    repository: tuple[str, ...] = setting(
        "the repository's own tests, on this machine",
        ("python", "-m", "pytest", "tests/unit", "tests/integration"),
    )


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A place that versions are deployed to (`[tool.haybale.environments.NAME]`)."""

    after: str = setting("the environment that a version must have been deployed to before", "")
    namespace: str = setting(
        "the Kubernetes namespace that it runs in; empty: NAME-ENVIRONMENT", "", pattern=f"({NAME})?"
    )
    host: str = setting("the host name that it is reached by; empty: by none", "", judge=_host)


@dataclass(frozen=True, kw_only=True)
class Flux:
    """How Flux learns of a deployment (`[tool.haybale.flux]`)."""

    forge: str = setting(
        "who tells it: the repository's forge, or a webhook of your own",
        "github",
        pattern="github|gitlab|generic",
    )
    url: str = setting("where Flux fetches the repository from; empty: where `origin` is", "", judge=_git_url)
    credentials: str = setting(
        "the Secret that lets Flux fetch the repository; empty: everybody may", "", pattern=f"({NAME})?"
    )
    namespace: str = setting("the namespace of Flux's own objects", "flux-system", pattern=NAME)
    interval: str = setting(
        "how often Flux looks by itself", "10m", pattern=r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+"
    )
    folder: str = setting("the folder of the manifests", "deploy", pattern=r"\w[\w.-]*(/\w[\w.-]*)*")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`[tool.haybale]`: everything that can be set, with its default."""

    name: str = setting("short name of the site; compose projects are NAME-solr and NAME-ci", pattern=WORD)
    registry: str = setting("repository of all images; REGISTRY overrides it", judge=_repository)
    core: str = setting("name of the Solr core", pattern=WORD)
    local: bool = setting(
        "there is no registry: images stay on this engine; HAYBALE_LOCAL overrides it", default=False
    )
    main: str = setting("the branch that versions are released from", "main", judge=_branch)
    site: str = setting("the site's folder, the working directory of its image", "web")
    dump: str = setting("glob that matches the dump's symlink", "dumps/*latest.sql*")
    fixtures: tuple[str, ...] = setting(
        "files of the repository that Django's loaddata loads after the dump, in this order", ()
    )
    solr_conf: str = setting("folder with schema.xml and solrconfig.xml", "solr_conf")
    dockerfile: str = setting("the Dockerfile with the stages", "Dockerfile")
    images: Images = field(default_factory=Images)
    build: Build = field(default_factory=Build)
    requirements: Requirements = field(default_factory=Requirements)
    index: Index = field(default_factory=Index)
    test: Test = field(default_factory=Test)
    flux: Flux = field(default_factory=Flux)
    environments: Mapping[str, Environment] = field(default_factory=dict)


# Environment variables that lay themselves over settings: variable -> path of the setting.
OVERRIDES: Mapping[str, tuple[str, ...]] = {
    "REGISTRY": ("registry",),
    "PYTHON_IMAGE": ("images", "python"),
    "SOLR_IMAGE": ("images", "solr"),
    "POSTGRES_IMAGE": ("images", "postgres"),
    "HAYBALE_LOCAL": ("local",),
}

# How an environment variable says yes or no.
TRUTH: Mapping[str, bool] = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A repository and its settings; every path of haybale's starts at `root` (absolute).

    `origin` is where the user works, when `root` is another tree of the same repository: a version is built
    from its own commit, with the user's dump, notes and reports. Else it is None.
    """

    root: Path
    settings: Settings
    origin: Path | None = None

    @property
    def home(self) -> Path:
        """Where the user works: the dump, the reports and what haybale notes for itself are there."""
        return self.origin or self.root

    @property
    def scratch(self) -> Path:
        """The git-ignored folder that is haybale's own."""
        return self.home / ".haybale"

    @property
    def reports(self) -> Path:
        """The git-ignored folder where `test` leaves JUnit XML and logs."""
        return self.home / "reports"

    def path(self, relative: str) -> Path:
        """Return a setting's path, absolute."""
        return self.root / relative


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where settings come from, to name the place of a wrong one."""

    file: Path
    text: str
    overridden: Mapping[tuple[str, ...], str]

    def place(self, path: tuple[str, ...]) -> str:
        if path in self.overridden:
            return f"environment variable {self.overridden[path]}"
        return f"{self.file}:{line_of(self.text, path)}"


def load(start: Path | None = None, env: Mapping[str, str] | None = None) -> Project:
    """Find the repository from `start` (default: the working directory) upwards and read its settings.

    Raises `ConfigError` where there is no `[tool.haybale]`, or where it holds something unknown or wrong.
    """
    env = os.environ if env is None else env
    start = (start or Path.cwd()).resolve()
    for root in (start, *start.parents):
        file = root / FILE
        if not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8")
            document = tomllib.loads(text)
        except (OSError, ValueError) as error:  # neither UTF-8 nor TOML are a ValueError of their own
            raise ConfigError(
                f"{file}: {error}",
                cause="it can't be read, or is no valid TOML",
                hint="mend it and try again",
            ) from error
        tool = document.get("tool")
        table = tool.get("haybale") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            return Project(root=root, settings=_settings(file, text, table, env))
    raise ConfigError(
        f"no {FILE} with a [{TABLE}] table in {start} or above it",
        cause="this is not a repository that haybale knows",
        hint=f"go to the repository, or add [{TABLE}] with name, registry and core to its {FILE}",
    )


def _settings(file: Path, text: str, table: Mapping[str, Any], env: Mapping[str, str]) -> Settings:
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    overridden = {}
    for variable, path in OVERRIDES.items():
        if not env.get(variable):
            continue
        *tables, key = path
        target = data
        for table_name in tables:
            target = target.setdefault(table_name, {})
        # What should be a table and is none stays there, to be told as that.
        if isinstance(target, dict):
            target[key] = _said(path, env[variable])
            overridden[path] = variable
    problems: list[str] = []
    source = _Source(file=file, text=text, overridden=overridden)
    settings = _read(Settings, data, (), source, problems)
    if not problems:
        problems += _unordered(settings.environments, source)
    if problems:
        raise ConfigError("\n".join(problems), hint="mend these settings and try again")
    return settings


def _unordered(environments: Mapping[str, Environment], source: _Source) -> list[str]:
    """Return what is wrong with the order of environments: one that is not there, or a circle."""
    problems = []
    for name, environment in environments.items():
        place = f"{source.place(('environments', name, 'after'))}: environments.{name}.after"
        way = [name]
        while (after := environments[way[-1]].after) in environments and after not in way:
            way.append(after)
        if environment.after and environment.after not in environments:
            problems.append(f"{place} is {environment.after!r}; known here: {', '.join(environments)}")
        elif after == name:
            problems.append(f"{place} leads back to it: {' after '.join([*way, name])}")
    return problems


def _said(path: tuple[str, ...], text: str) -> Any:
    """Return what an environment variable says for a setting."""
    if path == ("local",):
        return TRUTH.get(text.lower(), text)
    if path == ("registry",):
        # CI systems give the repository's name as its owner wrote it; the path of an image has no capitals.
        host, slash, folder = text.partition("/")
        return host + slash + folder.lower()
    return text


def _read(kind: type[T], data: Any, path: tuple[str, ...], source: _Source, problems: list[str]) -> T:
    """Make a settings table of what TOML says, and note every problem with its place."""
    known = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    types = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    if not isinstance(data, dict):
        problems.append(f"{source.place(path)}: {'.'.join(path)} is a table, not {data!r}")
        data = {}
    for key, value in data.items():
        here = (*path, key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(known)}"
            problems.append(f"{source.place(here)}: unknown setting {'.'.join(here)!r}{hint}")
        elif dataclasses.is_dataclass(types[key]):
            values[key] = _read(typing.cast("type[Any]", types[key]), value, here, source, problems)
        elif typing.get_origin(types[key]) is Mapping:
            values[key] = _named(typing.get_args(types[key])[1], value, here, source, problems)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
            wrong = _wrong(values[key], types[key], known[key].metadata)
            if wrong:
                description = known[key].metadata["description"]
                problems.append(
                    f"{source.place(here)}: {'.'.join(here)} {wrong}, not {value!r} ({description})"
                )
    for name, each in known.items():
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if required and name not in values:
            problems.append(
                f"{source.place(path)}: the setting {name!r} is missing ({each.metadata['description']})"
            )
            values[name] = ""
    return kind(**values)


def _named(
    each: type[T], data: Any, path: tuple[str, ...], source: _Source, problems: list[str]
) -> Mapping[str, T]:
    """Make a settings table for each name in a table of tables."""
    if not isinstance(data, dict):
        problems.append(f"{source.place(path)}: {'.'.join(path)} is a table, not {data!r}")
        return {}
    problems += [
        f"{source.place((*path, name))}: {'.'.join(path)} has {name!r}; a name is of small letters, digits"
        " and, between them, dashes, at most 40, and not `last`"
        for name in data
        if not re.fullmatch(NAME, name) or name == "last"
    ]
    return {name: _read(each, table, (*path, name), source, problems) for name, table in data.items()}


def _wrong(value: Any, kind: Any, rule: Mapping[str, Any]) -> str:
    """Return what a value should have been, "" where it is right."""
    if kind == tuple[str, ...]:
        right = isinstance(value, tuple) and all(isinstance(part, str) for part in value)
        return "" if right else "is a list of words"
    # bool is an int to Python, but not to somebody who writes `batch = true`.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return {str: "is a text in quotes", int: "is a whole number", bool: "is true or false"}[kind]
    if kind is int and value < rule["least"]:
        return f"is at least {rule['least']}"
    if rule["pattern"] and not re.fullmatch(rule["pattern"], value):
        return f"has the form {rule['pattern']}"
    return rule["judge"](value) if rule["judge"] else ""


def line_of(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) where a setting begins in the file's text, whichever way TOML writes it.

    That of the table which it should stand in, where it doesn't stand there. The text is valid TOML.
    """
    wanted = (*TABLE.split("."), *path)
    found, depth = 1, 0
    header = statement = ""
    start = 1
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        is_header = statement.lstrip().startswith("[")
        try:
            document = tomllib.loads(statement if is_header else header + statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        reached = _depth(document, wanted)
        if reached > depth:
            found, depth = start, reached
        if is_header:
            header = statement
        statement, start = "", number + 1
    return found


def _depth(document: Any, path: Sequence[str]) -> int:
    """Return how many parts of a path there are in a document."""
    for depth, key in enumerate(path):
        if not isinstance(document, dict) or key not in document:
            return depth
        document = document[key]
    return len(path)
