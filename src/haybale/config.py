"""What haybale is told: `[tool.haybale]` in the repository's pyproject.toml, and a few environment variables.

Validated whole before anything is started; every complaint names the file and the line.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haybale.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE = "pyproject.toml"
TABLE = "tool.haybale"

# The reference grammar of the OCI distribution specification, "Pulling manifests", less the tag.
Repository = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
        description="image repository, without a tag",
    ),
]
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="lower case letters, digits, - and _")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Images(_Table):
    """The base images (`[tool.haybale.images]`); `PYTHON_IMAGE` and `SOLR_IMAGE` override them."""

    python: str = Field("python:3.13-slim", description="base of the site's image")
    solr: str = Field("solr:9.10.1-slim", description="the Solr that indexes and serves")


class Build(_Table):
    """How images are built (`[tool.haybale.build]`)."""

    provenance: bool = Field(default=False, description="attach a provenance attestation")
    sbom: bool = Field(default=False, description="attach a software bill of materials")
    cache: bool = Field(default=True, description="use the registry as a build cache where that is possible")
    platform: str = Field("", description="such as linux/amd64; empty: the engine's own")


class Requirements(_Table):
    """How the site's requirements are compiled (`[tool.haybale.requirements]`)."""

    source: str = Field("web/requirements.in", description="what the site asks for, in two parts")
    marker: str = Field("# Dev", description="the heading that begins the development part")
    dev_source: str = Field("", description="a second input file, in place of the heading")
    everything: str = Field("web/requirements.txt", description="output: production and development")
    production: str = Field("web/requirements.prod.txt", description="output: production only")


class Index(_Table):
    """How the index is made and proved (`[tool.haybale.index]`)."""

    batch: int = Field(1000, ge=1, le=100_000, description="documents a request")
    sample: int = Field(200, ge=1, description="documents compared field by field for each model")
    heap: str = Field("1g", pattern=r"^[0-9]+[mg]$", description="Solr's heap while it indexes")


class Test(_Table):
    """What `test` runs (`[tool.haybale.test]`); each is a command, empty to leave it out."""

    site: tuple[str, ...] = Field(
        ("pytest", "/tests/site"), description="the site's tests, in the tester container"
    )
    browser: tuple[str, ...] = Field(
        ("pytest", "/tests/browser"), description="the browser tests, in the tester container"
    )
    repository: tuple[str, ...] = Field(
        ("python", "-m", "pytest", "tests/unit", "tests/integration"),
        description="the repository's own tests, on this machine",
    )


class Settings(_Table):
    """`[tool.haybale]`: everything that can be set, with its default."""

    name: Word = Field(description="short name of the site; compose projects are called NAME-solr, NAME-ci")
    registry: Repository = Field(description="repository of all images; REGISTRY overrides it")
    core: Word = Field(description="name of the Solr core")
    dump: str = Field("dumps/*latest.sql*", description="glob that matches the dump's symlink")
    solr_conf: str = Field("solr_conf", description="folder with schema.xml and solrconfig.xml")
    dockerfile: str = Field("Dockerfile", description="the Dockerfile with the stages")
    images: Images = Images()
    build: Build = Build()
    requirements: Requirements = Requirements()
    index: Index = Index()
    test: Test = Test()


# Environment variables that lay themselves over settings: variable -> path of the setting.
OVERRIDES: Mapping[str, tuple[str, ...]] = {
    "REGISTRY": ("registry",),
    "PYTHON_IMAGE": ("images", "python"),
    "SOLR_IMAGE": ("images", "solr"),
}


class Project(BaseModel):
    """A repository and its settings; every path of haybale's starts at `root` (absolute)."""

    model_config = ConfigDict(frozen=True)

    root: Path
    settings: Settings

    @property
    def scratch(self) -> Path:
        """The git-ignored folder that is haybale's own."""
        return self.root / ".haybale"

    @property
    def reports(self) -> Path:
        """The git-ignored folder where `test` leaves JUnit XML and logs."""
        return self.root / "reports"

    def path(self, relative: str) -> Path:
        """Return a setting's path, absolute."""
        return self.root / relative


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
        text = file.read_text(encoding="utf-8")
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file}: {error}", cause="not valid TOML", step="mend it and try again") from error
        if "haybale" in document.get("tool", {}):
            return Project(root=root, settings=_settings(file, text, document["tool"]["haybale"], env))
    raise ConfigError(
        f"no {FILE} with a [{TABLE}] table in {start} or above it",
        cause="this is not a repository that haybale knows",
        step=f"go to the repository, or add [{TABLE}] with name, registry and core to its {FILE}",
    )


def _settings(file: Path, text: str, table: dict[str, Any], env: Mapping[str, str]) -> Settings:
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    origin: dict[tuple[str, ...], str] = {}
    for variable, path in OVERRIDES.items():
        if env.get(variable):
            target = data
            for key in path[:-1]:
                target = target.setdefault(key, {})
            target[path[-1]] = env[variable]
            origin[path] = f"environment variable {variable}"
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        problems = []
        for detail in error.errors():
            where = tuple(str(part) for part in detail["loc"])
            place = origin.get(where) or f"{file}:{line_of(text, where)}"
            problems.append(f"{place}: {_complaint(where, detail)}")
        raise ConfigError("\n".join(problems), step="mend these settings and try again") from error


def _complaint(where: Sequence[str], detail: Any) -> str:
    name = ".".join(where)
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where[-1], _known(where[:-1]), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown setting {name!r}{hint}"
    if detail["type"] == "missing":
        return f"the setting {name!r} is missing ({_describe(where)})"
    return f"{name}: {detail['msg']}, got {detail['input']!r} ({_describe(where)})"


def _model(path: Sequence[str]) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for key in path:
        inner = model.model_fields[key].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model


def _known(path: Sequence[str]) -> list[str]:
    return list(_model(path).model_fields)


def _describe(where: Sequence[str]) -> str:
    fields = _model(where[:-1]).model_fields
    field = fields.get(where[-1]) or next((fields[key] for key in where if key in fields), None)
    return field.description or "" if field else ""


def line_of(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) of a setting in the file's text; its table's where the key isn't found."""
    line, header = 1, f"[{TABLE}]"
    tables = [f"[{'.'.join((TABLE, *path[:end]))}]" for end in range(len(path), -1, -1)]
    found = next((table for table in tables if re.search(rf"^{re.escape(table)}", text, re.MULTILINE)), header)
    key = path[found.count(".") - TABLE.count(".")] if found.count(".") - TABLE.count(".") < len(path) else ""
    inside = False
    for number, content in enumerate(text.splitlines(), start=1):
        stripped = content.strip()
        if stripped.startswith("["):
            inside = stripped.startswith(found)
            line = number if inside else line
        elif inside and key and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*[=.]", stripped):
            return number
    return line
