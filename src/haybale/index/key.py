"""The index key: a digest over everything that determines the index, and the components it is made of.

docs/index-key.md says what counts. Every part is hashed with its length before it, and in sorted order, so
that no two sets of inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from haybale.config import FILE
from haybale.dump.fetching import find_dump
from haybale.dump.limits import configured_limits
from haybale.dump.reference import identify_dump
from haybale.dump.restoration import code_digest
from haybale.errors import ConfigError
from haybale.images.site_services import SETTINGS_VARIABLE, database_script, site_environment
from haybale.images.stack import DATABASE_FILE, FILES, SERVICES
from haybale.images.stages import site_instructions
from haybale.index import inputs
from haybale.index.home import (
    configuration_files,
    repository_cores,
    serving_changes,
    upgrade_changes,
)
from haybale.index.own_configuration import source_texts
from haybale.requirements.manager import find_install_commands

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from haybale.config import Project, Settings

# The version of a key's document, and of how digests are made. It is a component of the key.
FORMAT_VERSION = 1

# The label of an index image that carries its key's document.
KEY_LABEL = "io.haybale.key"

# Hexadecimal digits of a key, and of a file's digest within it.
KEY_LENGTH = 32
FILE_DIGEST_LENGTH = 16

KEY_PATTERN = re.compile(rf"^[0-9a-f]{{{KEY_LENGTH}}}$")

# The stages that the index is made with.
STAGES = ("release", "solr")

# Bytes that decide whether a file is text, as in git (xdiff-interface.c, buffer_is_binary).
TEXT_PREFIX = 8000

# Bytes that are read at once: an input may be larger than memory.
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of the key: a name, a digest (SHA-256, hex), and what it is made of.

    `files` maps each file (from the repository's root, with /) to the first digits of its content's digest;
    `value` is what a component without files consists of, such as the name of a base image.
    """

    name: str
    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    value: str | None = None

    @property
    def content(self) -> str:
        """What names the content: the value (of the dump, its SHA-256), else the files' digest."""
        return self.digest if self.value is None else self.value

    def to_dict(self) -> dict[str, Any]:
        """Return {digest, files?, value?}."""
        files = {"files": dict(sorted(self.files.items()))} if self.files else {}
        return {"digest": self.digest, **files, **({} if self.value is None else {"value": self.value})}


@dataclass(frozen=True, kw_only=True)
class Key:
    """An index key (`KEY_LENGTH` hexadecimal digits) and its components, by name."""

    value: str
    components: Mapping[str, Component]

    @classmethod
    def from_components(cls, components: Iterable[Component]) -> Key:
        """Return the key of these components."""
        by_name = {each.name: each for each in components}
        parts = [part for name, each in sorted(by_name.items()) for part in (name, each.digest)]
        return cls(value=digest_parts(parts)[:KEY_LENGTH], components=by_name)

    def __str__(self) -> str:
        return self.value

    @property
    def files(self) -> frozenset[str]:
        """Every file that counts, from the repository's root."""
        return frozenset(path for each in self.components.values() for path in each.files)

    def to_dict(self) -> dict[str, Any]:
        """Return {format, key, components: {name: {digest, files?, value?}}}."""
        components = {name: each.to_dict() for name, each in sorted(self.components.items())}
        return {"format": FORMAT_VERSION, "key": self.value, "components": components}

    def to_json(self) -> str:
        """Return the document as an image's label has it: always the same text for the same key."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Key:
        """Return the key that a label has; raises `ConfigError` where it has none of this format."""
        try:
            document = json.loads(text)
            version = document["format"]
            if version != FORMAT_VERSION:
                raise ConfigError(
                    f"the index key has format {version}, not {FORMAT_VERSION}",
                    cause="another version of haybale made it",
                    hint="regenerate the index: `haybale regen-solr-image`",
                )
            (value,) = KEY_PATTERN.findall(document["key"])
            components = document["components"].items()
            by_name = {name: Component(name=name, **each) for name, each in components}
            return cls(value=value, components=by_name)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"this is not an index key: {text[:80]}",
                cause="the label of an index image has one, as JSON",
                hint="index again: `haybale regen-solr-image`",
            ) from error


def compute_key(project: Project) -> Key:
    """Return the index key of a repository as it is now.

    Raises `ConfigError` where an input cannot be read, `DumpError` where the dump is missing or damaged.
    """
    settings, root = project.settings, project.root
    dump = find_dump(project)
    site = inputs.read_site(root / settings.site.folder)
    for folder in settings.solr_conf_folders:
        if not (root / folder).is_dir():
            raise ConfigError(
                f"there is no folder {root / folder}",
                cause="it holds Solr's schema.xml and solrconfig.xml",
                hint="correct the setting `solr_conf`",
            )
    stages = site_instructions(project, STAGES)
    variables = site_environment(project, settings.site.index)
    compose = [settings.compose.solr] if settings.compose.solr else []
    named = [stages, f"{SETTINGS_VARIABLE}={variables.get(SETTINGS_VARIABLE, '')}"]
    named += [_read_compose_file(root / name) for name in compose]
    mounted = inputs.mounted_files(root, settings.site.mounts)
    content = identify_dump(dump, project.scratch / "dump", configured_limits(settings.database))
    server_image = content.database.server_image(settings.images)
    restoring = [settings.database.restore, *sorted(settings.database.extensions), code_digest()[:16]]
    bases = [settings.images.python, settings.images.solr, *([server_image] if server_image else [])]
    components = [
        _value("format", str(FORMAT_VERSION)),
        _value("core", _describe_cores(settings)),
        _value("bases", " ".join(bases)),
        _value("loader", loader_digest()),
        _value("dockerfile", digest_parts([stages])),
        _value("dump", content.sha256),
        *([_value("restore", " ".join(restoring))] if server_image else []),
        _solr_configuration(root, settings),
        _files("index-code", root, _within(settings.site.folder, inputs.find_index_code(site))),
        _files("templates", root, _within(settings.site.folder, inputs.find_templates(site))),
        _files("settings", root, _within(settings.site.folder, inputs.find_settings(site, named))),
        _value("variables", _describe_variables(settings, variables)),
        _value("services", _services_digest()[:16]),
        _files("environment", root, [*compose, *settings.site.environment_files, *mounted]),
        _files("fixtures", root, settings.fixtures),
        _lock(root, settings),
        _files("extra", root, inputs.match_globs(root, settings.index.inputs)),
    ]
    # What an image has that its files don't say. Without a solrconfig.xml no index can be made at all.
    cores = repository_cores(project)
    serving = serving_changes(cores, is_closed=settings.index.is_closed)
    for name, changes in (("upgrade", upgrade_changes(cores)), ("serving", serving)):
        if changes:
            components.append(_value(name, "; ".join(changes)))
    return Key.from_components(components)


def _lock(root: Path, settings: Settings) -> Component:
    """Return what says what production installs: a file of requirements, or the package that the site is.

    The package only where a Dockerfile of the repository's own installs it, and no such file is there.
    """
    package = root / FILE
    if (root / settings.requirements.production).is_file() or not (settings.dockerfile and package.is_file()):
        return _files("lock", root, _requirements_files(root, settings))
    document = tomllib.loads(package.read_text(encoding="utf-8"))
    document["tool"] = {name: each for name, each in document["tool"].items() if name != "haybale"}
    scripts = [root / name for name in ("setup.py", "setup.cfg")]
    texts = [each.read_text(encoding="utf-8", errors="replace") for each in scripts if each.is_file()]
    if "project" not in document and not texts:
        return _files("lock", root, _requirements_files(root, settings))
    said = json.dumps(document, sort_keys=True, default=str)
    return _value("lock", f"the package, {digest_parts([said, *texts])[:FILE_DIGEST_LENGTH]}")


def _requirements_files(root: Path, settings: Settings) -> set[str]:
    """Return what says what production installs: its file with what that includes, or a lock.

    Not what stands beside a lock, such as pyproject.toml: the lock has what matters of it.
    """
    production = settings.requirements.production
    if not (root / production).is_file():
        return {production}  # which is an error where it is read
    named = {production, *find_install_commands(root, settings.requirements).files}
    folders = {each for each in named if (root / each).is_dir()}
    within = {file for each in folders for file in _within(each, inputs.list_files(root / each))}
    return (named - folders) | within


def _describe_cores(settings: Settings) -> str:
    """Return the cores and, where each has a folder of its own, which; the site's files say the rest."""
    conf = settings.solr_conf
    folders = (f"{core}={folder}" for core, folder in conf.items()) if isinstance(conf, Mapping) else ()
    return " ".join([*(settings.cores or ["HAYSTACK_CONNECTIONS"]), *sorted(folders)])


def _solr_configuration(root: Path, settings: Settings) -> Component:
    """Return what Solr's configuration is: the repository's files, or how haybale makes it of the indexes.

    The indexes and Haystack, which say the rest, are in the key already.
    """
    if settings.solr_conf is None:
        return _value("solr-conf", f"made by haybale, {digest_parts(source_texts())[:16]}")
    return _files("solr-conf", root, _configuration_files(root, settings.solr_conf_folders))


def _read_compose_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        inputs.raise_unreadable(error, "the setting compose.solr names it")


def _describe_variables(settings: Settings, variables: Mapping[str, str]) -> str:
    """Return what the site's containers are told while it is indexed; of secrets, the names."""
    site = settings.site
    told = {
        "variables": dict(sorted(variables.items())),
        "secrets": sorted(site.secrets),
        "user": site.user,
        "workdir": site.workdir,
        "commands": settings.database.commands,
        **({"mounts": site.mounts} if site.mounts else {}),
    }
    return json.dumps(told)


def _services_digest() -> str:
    """Return the digest of haybale's own compose files for the environment that indexes."""
    files = (SERVICES / DATABASE_FILE, SERVICES / FILES["solr"])
    return digest_parts([*(file.read_text(encoding="utf-8") for file in files), database_script()])


def _configuration_files(root: Path, folders: Iterable[str]) -> set[str]:
    return {file for folder in folders for file in _within(folder, configuration_files(root / folder))}


def loader_digest() -> str:
    """Return the digest of the code that makes documents: a version number may be forgotten."""
    folder = resources.files("haybale.loader") / "documents"
    parts: list[str] = []
    for name in sorted(each.name for each in folder.iterdir() if each.name.endswith(".py")):
        with (folder / name).open("rb") as file:
            parts += [name, digest_file(file)]
    return digest_parts(parts)


def digest_parts(parts: Iterable[str]) -> str:
    """Return the SHA-256 (hex) of texts, each with its length before it."""
    hashed = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape")
        hashed.update(len(content).to_bytes(8, "big") + content)
    return hashed.hexdigest()


def digest_file(file: IO[bytes]) -> str:
    """Return the SHA-256 (hex) of a file's content; of text, with CRLF as LF."""
    hashed = hashlib.sha256()
    chunk = file.read(CHUNK)
    is_text = b"\0" not in chunk[:TEXT_PREFIX]
    while chunk:
        # A CR at the end may be half of a CRLF.
        while is_text and chunk.endswith(b"\r") and (following := file.read(1)):
            chunk += following
        hashed.update(chunk.replace(b"\r\n", b"\n") if is_text else chunk)
        chunk = file.read(CHUNK)
    return hashed.hexdigest()


def _within(folder: str, files: Iterable[str]) -> set[str]:
    return {str(PurePosixPath(folder, file)) for file in files}


def _value(name: str, value: str) -> Component:
    return Component(name=name, digest=digest_parts([value]), value=value)


def _files(name: str, root: Path, paths: Iterable[str]) -> Component:
    digests: dict[str, str] = {}
    for path in sorted(paths):
        try:
            with (root / path).open("rb") as file:
                digests[path] = digest_file(file)
        except OSError as error:
            inputs.raise_unreadable(error, f"it determines the index ({name})")
    parts = [part for each in digests.items() for part in each]
    files = {path: digest[:FILE_DIGEST_LENGTH] for path, digest in digests.items()}
    return Component(name=name, digest=digest_parts(parts), files=files)
