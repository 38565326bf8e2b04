"""Which files of a repository determine its index, found by reading them, without running anything of it.

Index code is what the search index modules import, however far that goes inside the site; with an app's
models come its migrations. What can't be seen that way (a module imported by a computed name, a file that
code opens) is what the loader's audit finds, and `index.inputs` adds.
"""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NoReturn

from haybale.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Folders in which nothing of a site's own is.
LEFT_OUT = frozenset({"__pycache__", "node_modules", ".git", ".nox", ".haybale", ".venv"})
COMPILED = (".pyc", ".pyo")

# Haystack finds an app's search indexes by this name (haystack/utils/loading.py).
INDEX_MODULE = "search_indexes"
# Where a document's template lies (haystack/fields.py, SearchField.prepare_template).
INDEX_TEMPLATES = "/templates/search/indexes/"

# What a template takes from others by a literal name (Django documentation, "Built-in template tags").
TAG = re.compile(r"\{%-?\s*(extends|include|load)\s+(.*?)\s*-?%\}", re.DOTALL)
LITERAL = re.compile(r"""^(["'])(?P<name>[^"']+)\1""")

# What names the settings: a call in manage.py (django-admin startproject writes it), ENV in a Dockerfile, a
# line of a compose file, also as a default.
SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']?\s*(?::-|[,=:\s])\s*["']?(?P<module>[A-Za-z_][\w.]*)""")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site's folder, and its files, with / and relative to it."""

    root: Path
    files: frozenset[str]

    def module(self, name: str) -> str:
        """Return the file of a module (a.b.c), "" where the site has none of that name."""
        path = name.replace(".", "/")
        return next((file for file in (f"{path}/__init__.py", f"{path}.py") if file in self.files), "")


def site(root: Path) -> Site:
    """Look at a site's folder; `ConfigError` where there is none."""
    if not root.is_dir():
        raise ConfigError(
            f"there is no folder {root}",
            cause="the setting `site` names what becomes the working directory of the site's image",
            hint="mend the setting `site`",
        )
    return Site(root=root, files=frozenset(walk(root)))


def walk(root: Path) -> Iterator[str]:
    """Yield the files in a folder and below it, with / and relative to it; compiled Python is left out.

    A link to a folder counts as what it leads to, unless it leads back to a folder that it lies in. A link
    that leads nowhere is yielded: whoever reads it says so.
    """
    real = root.resolve()
    yield from _below(str(root), "", str(real), frozenset({str(real), *map(str, real.parents)}))


def _below(folder: str, start: str, real: str, above: frozenset[str]) -> Iterator[str]:
    """Yield the files of a folder, each with `start` before it; `real` is its path without links.

    `above` are such paths: its own, and those of all folders on the way to it.
    """
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        _unreadable(error)
    for entry in entries:
        if _is(entry.is_dir):
            inner = os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}"
            if entry.name not in LEFT_OUT and inner not in above:
                yield from _below(entry.path, f"{start}{entry.name}/", inner, above | {inner})
        elif not entry.name.endswith(COMPILED) and (_is(entry.is_file) or entry.is_symlink()):
            yield start + entry.name


def _is(kind: Callable[[], bool]) -> bool:
    """Ask what an entry of a folder is; a link that leads back to itself is nothing."""
    try:
        return kind()
    except OSError:
        return False


def _unreadable(error: OSError) -> NoReturn:
    raise ConfigError(
        f"{error.filename} can't be read: {error.strerror}",
        cause="what is in that folder may determine the index",
        hint="let whoever runs this read it",
    ) from error


def read(path: Path) -> bytes:
    """Return a file's content; `ConfigError` where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror}",
            cause="it determines the index, and is a link that leads nowhere, or not for whoever runs this",
            hint="put it there, or remove it",
        ) from error


def index_code(files: Site) -> set[str]:
    """Return the files that the search indexes are made of: their import closure, and their models' apps."""
    roots = {
        file
        for file in files.files
        if file.endswith(".py") and INDEX_MODULE in PurePosixPath(file).with_suffix("").parts
    }
    found: set[str] = set()
    while roots - found:
        found |= closure(files, roots - found)
        roots = {part for file in found for part in _app_of_models(files, file)}
    return found


def _app_of_models(files: Site, file: str) -> Iterator[str]:
    """Yield what belongs to the models in a file: migrations, and the app's configuration."""
    path = PurePosixPath(file)
    if path.name == "models.py":
        app = path.parent
    elif path.parent.name == "models":
        app = path.parent.parent
    else:
        return
    for each in files.files:
        other = PurePosixPath(each)
        if (other.parent == app / "migrations" and other.suffix == ".py") or other == app / "apps.py":
            yield each


def closure(files: Site, roots: Iterable[str]) -> set[str]:
    """Return these files and every module of the site that they import, directly or not."""
    found: set[str] = set()
    left = list(roots)
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        if file.endswith(".py"):
            names = _imports(read(files.root / file), file)
            left += [each for name in names for each in _modules(files, name)]
    return found


def _modules(files: Site, name: str) -> Iterator[str]:
    """Yield the files that importing a dotted name runs: each package on the way, and the module itself."""
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        file = files.module(".".join(parts[:number]))
        if file:
            yield file


def _imports(source: bytes, file: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it: of modules, or of what is in one."""
    package = PurePosixPath(file).with_suffix("").parts[:-1]
    # The packages that a module lies in are imported before it.
    yield ".".join(package)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # it counts by its bytes all the same
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself, each further one the package around it.
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{start}.{alias.name}" if start else alias.name


def templates(files: Site) -> set[str]:
    """Return the documents' templates, and what they extend, include and load by name."""
    found: set[str] = set()
    left = [file for file in files.files if INDEX_TEMPLATES in f"/{file}"]
    libraries: set[str] = set()
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        text = read(files.root / file).decode(errors="replace")
        for tag, rest in TAG.findall(text):
            if tag == "load":
                names = rest.partition(" from ")[2].split() or rest.split()
                libraries |= {
                    each
                    for each in files.files
                    for name in names
                    if f"/{each}".endswith(f"/templatetags/{name}.py")
                }
            else:
                literal = LITERAL.match(rest)
                # Relative ones start in their own template's folder.
                name = literal["name"].lstrip("./") if literal else "\0"
                left += [each for each in files.files if _is_template(each, name)]
    return found | closure(files, libraries)


def _is_template(file: str, name: str) -> bool:
    """Whether a file may be the template of a name, given whole or from the folder of another one."""
    return "/templates/" in f"/{file}" and f"/{file}".endswith(f"/{name}")


def settings(files: Site, environment: Iterable[str] = ()) -> set[str]:
    """Return the settings module, with what it imports; nothing where no module of the site's is named.

    The texts `environment` say what is set in the site's container; that goes before manage.py's word, as in
    Django, which is asked only where they name none.
    """
    own = read(files.root / "manage.py") if "manage.py" in files.files else b""
    for text in ("\n".join(environment), own.decode(errors="replace")):
        named = {files.module(found["module"]) for found in SETTINGS.finditer(text)} - {""}
        if named:
            return closure(files, named)
    return set()


def matching(root: Path, globs: Iterable[str]) -> set[str]:
    """Return the files that globs match, relative to `root`; a folder stands for everything in it.

    Raises `ConfigError` where a glob matches nothing, or can't be one.
    """
    found: set[str] = set()
    for pattern in globs:
        try:
            matched = list(root.glob(pattern))
        except (ValueError, NotImplementedError, IndexError) as error:
            raise ConfigError(
                f"index.inputs: {pattern!r}: {error}",
                cause="it is a glob that starts in the repository, such as web/data/*.json",
            ) from error
        if not matched:
            raise ConfigError(
                f"index.inputs: nothing matches {pattern!r}",
                cause="what it named was renamed or removed",
                hint="mend or remove that entry in [tool.haybale.index]",
            )
        for path in matched:
            start = path.relative_to(root).as_posix()
            if path.is_dir():
                found |= {f"{start}/{file}" for file in walk(path)}
            elif not start.endswith(COMPILED):
                found.add(start)
    return found
