"""The index key: a digest over everything that determines the index, and the components it is made of.

How things count (docs/index-key.md):

- Files count as they are in the work tree, whether git knows them or not.
- Text counts with CRLF as LF, because a checkout on Windows changes just that. Text is what has no NUL in its
  first 8000 bytes, as git judges (its xdiff-interface.c, buffer_is_binary).
- Modes don't count. A link counts as what it leads to.
- The dump counts by its database, not by the archive that holds it.
- Neither the version of the release nor the platform is in it: Lucene's files are portable.

Every part is written with its length before it, and in sorted order, so that no two sets of inputs give the
same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import IO, TYPE_CHECKING, Any

from haybale.dump import reference as dump
from haybale.errors import ConfigError
from haybale.images import dockerfile as layers
from haybale.index import inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from haybale.config import Project

# The version of the document below, and of how digests are made. It is a part of the key.
FORMAT = 1

# The label of an index image that carries the document.
LABEL = "io.haybale.key"

# Hexadecimal digits of a key.
LENGTH = 32

FORM = re.compile(rf"^[0-9a-f]{{{LENGTH}}}$")

# The description of the environment that indexes: what it is called, and what it may include.
ENVIRONMENT = "docker-compose.solr.yml"
DATABASE = "docker-compose.database.yml"

# The stages that the index is made with.
STAGES = ("release", "solr")

# Scripts of the loader that look on and make no documents.
LOOKING = ("verify.py", "haybale_compare.py", "haybale_audit.py", "haybale_events.py")

# So many bytes decide whether a file is text; so many are read at once; so many digits of a file's digest are
# in the document, where they only explain.
TEXT = 8000
CHUNK = 1 << 20
SHORT = 16


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of the key: a name, a digest (SHA-256, hex), and what it is made of.

    `files` maps each file (from the repository's root, with /) to the digest of its content; `value` is what
    a component without files says, such as the reference of a base image.
    """

    name: str
    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An index key (`LENGTH` hexadecimal digits) and its components, by name."""

    value: str
    components: Mapping[str, Component]

    def __str__(self) -> str:
        return self.value

    @property
    def document(self) -> str:
        """The key and its components as JSON, always the same text for the same key: an image's label.

        {format, key, components: {name: {digest, files?: {path: first digits of its digest}, value?}}}.
        """
        components = {name: _shown(each) for name, each in sorted(self.components.items())}
        document = {"format": FORMAT, "key": self.value, "components": components}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Key:
        """Return the key that a document holds; raises `ConfigError` where it is none of this format."""
        try:
            document = json.loads(text)
            found = document["format"]
            if found != FORMAT:
                raise ConfigError(
                    f"the index key has format {found}, not {FORMAT}",
                    cause="another version of haybale made it",
                    hint="regenerate the index",
                )
            components = {
                str(name): Component(
                    name=str(name),
                    digest=str(each["digest"]),
                    files={str(path): str(digest) for path, digest in each.get("files", {}).items()},
                    value=str(each.get("value", "")),
                )
                for name, each in document["components"].items()
            }
            (value,) = FORM.findall(document["key"])
            return cls(value=value, components=components)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"this is no index key: {text[:80]}", cause="the image's label is another tool's, or damaged"
            ) from error


def of(project: Project) -> Key:
    """Return the index key of a repository as it is now.

    Raises `ConfigError` where an input can't be read, `DumpError` where the dump is missing or damaged.
    """
    settings, root = project.settings, project.root
    found = dump.resolve(project.home, settings.dump)
    site = inputs.site(root / settings.site)
    configuration = root / settings.solr_conf
    if not configuration.is_dir():
        raise ConfigError(
            f"there is no folder {configuration}",
            cause="it holds Solr's schema.xml and solrconfig.xml",
            hint="mend the setting `solr_conf`",
        )
    conf = {f"{settings.solr_conf}/{file}" for file in inputs.walk(configuration)}
    stages = layers.needed(root / settings.dockerfile, STAGES)
    # Missing, it is named below.
    environments = [
        name for name in (ENVIRONMENT, DATABASE) if name == ENVIRONMENT or (root / name).is_file()
    ]
    named = [
        (root / name).read_text(encoding="utf-8", errors="replace")
        for name in environments
        if (root / name).is_file()
    ]
    content = dump.identify(found, project.scratch / "dump")
    bases = [settings.images.python, settings.images.solr]
    if content.format.database == "postgresql":
        bases.append(settings.images.postgres)
    components = [
        _value("format", str(FORMAT)),
        _value("core", settings.core),
        _value("bases", " ".join(bases)),
        _value("loader", loader()),
        _value("dockerfile", digest_of([stages])),
        _value("dump", content.sha256),
        _files("solr-conf", root, conf),
        _files("index-code", root, _in_site(settings.site, inputs.index_code(site))),
        _files("templates", root, _in_site(settings.site, inputs.templates(site))),
        _files("settings", root, _in_site(settings.site, inputs.settings(site, [stages, *named]))),
        _files("environment", root, environments),
        _files("fixtures", root, settings.fixtures),
        _files("lock", root, [settings.requirements.production]),
        _files("extra", root, inputs.matching(root, settings.index.inputs)),
    ]
    return key_of(components)


def key_of(components: Iterable[Component]) -> Key:
    """Return the key of these components."""
    by_name = {each.name: each for each in components}
    parts = [part for name, each in sorted(by_name.items()) for part in (name, each.digest)]
    return Key(value=digest_of(parts)[:LENGTH], components=by_name)


def files_of(key: Key) -> frozenset[str]:
    """Return every file that is in a key, from the repository's root."""
    return frozenset(path for each in key.components.values() for path in each.files)


def loader() -> str:
    """Return the digest of the scripts that make documents: a version number may be forgotten."""
    folder = resources.files("haybale") / "loader"
    scripts = sorted(
        (each for each in folder.iterdir() if each.name.endswith(".py") and each.name not in LOOKING),
        key=lambda each: each.name,
    )
    parts: list[str] = []
    for each in scripts:
        with each.open("rb") as file:
            parts += [each.name, digest_of_file(file)]
    return digest_of(parts)


def digest_of(parts: Iterable[str]) -> str:
    """Return the SHA-256 (hex) of texts, each with its length before it."""
    hashed = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape")
        hashed.update(len(content).to_bytes(8, "big"))
        hashed.update(content)
    return hashed.hexdigest()


def digest_of_file(file: IO[bytes]) -> str:
    """Return the SHA-256 (hex) of a file's content; of text, with CRLF as LF."""
    hashed = hashlib.sha256()
    chunk = file.read(max(TEXT, CHUNK))
    text = b"\0" not in chunk[:TEXT]
    while chunk:
        while text and chunk.endswith(b"\r") and (more := file.read(1)):
            chunk += more
        hashed.update(chunk.replace(b"\r\n", b"\n") if text else chunk)
        chunk = file.read(CHUNK)
    return hashed.hexdigest()


def _shown(component: Component) -> dict[str, Any]:
    """Return a component as it is in the document, without what it has not."""
    shown: dict[str, Any] = {"digest": component.digest}
    if component.files:
        shown["files"] = {path: component.files[path][:SHORT] for path in sorted(component.files)}
    if component.value:
        shown["value"] = component.value
    return shown


def _in_site(site: str, files: Iterable[str]) -> set[str]:
    return {f"{site}/{file}" for file in files}


def _value(name: str, value: str) -> Component:
    return Component(name=name, digest=digest_of([value]), value=value)


def _files(name: str, root: Path, paths: Iterable[str]) -> Component:
    files: dict[str, str] = {}
    for path in sorted(paths):
        try:
            with (root / path).open("rb") as file:
                files[path] = digest_of_file(file)
        except OSError as error:
            raise ConfigError(
                f"{root / path} can't be read: {error.strerror}",
                cause=f"it determines the index ({name}), and is a link that leads nowhere, or not there",
                hint="put it there, or mend the setting that names it",
            ) from error
    parts = [part for path, digest in files.items() for part in (path, digest)]
    return Component(name=name, digest=digest_of(parts), files=files)
