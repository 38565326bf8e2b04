"""Which files of a repository determine its index, found by reading them, without running any of them.

Index code is what the search index modules import, however far that goes inside the site; with an app's
models come its migrations. What cannot be seen that way (a module imported by a computed name, a file that
code opens) is found by the loader's audit, and added by `index.inputs`.
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

# Folders that have nothing of the site's own.
IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules", ".git", ".nox", ".haybale", ".venv"})
COMPILED_SUFFIXES = (".pyc", ".pyo")

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

    def module_file(self, name: str) -> str | None:
        """Return the file of a module (a.b.c), None where the site has none of that name."""
        path = name.replace(".", "/")
        return next((file for file in (f"{path}/__init__.py", f"{path}.py") if file in self.files), None)

    def read(self, file: str) -> bytes:
        """Return a file's content; raises `ConfigError` where it cannot be read."""
        try:
            return (self.root / file).read_bytes()
        except OSError as error:
            raise_unreadable(error, "it determines the index")


def read_site(root: Path) -> Site:
    """List the files of a site's folder; raises `ConfigError` where there is none."""
    if not root.is_dir():
        raise ConfigError(
            f"there is no folder {root}",
            cause="the setting `site` names what becomes the working directory of the site's image",
            hint="correct the setting `site`",
        )
    return Site(root=root, files=frozenset(list_files(root)))


def list_files(root: Path) -> Iterator[str]:
    """Yield the files in a folder and below it, with / and relative to it; compiled Python is left out.

    A link to a folder counts as what it points to, unless that is a folder that it lies in. A broken link is
    yielded: whoever reads it says so. Raises `ConfigError` for a folder that cannot be read.
    """
    real_root = root.resolve()
    # Of each folder: its path without links, and those of all folders on the way to it.
    known = {str(root): (str(real_root), frozenset(map(str, (real_root, *real_root.parents))))}
    # Not by `Path`, which is several times as slow: every verb that needs the key waits for this.
    for folder, subfolders, names in os.walk(root, onerror=raise_unreadable, followlinks=True):
        real, above = known.pop(folder)
        for name in tuple(subfolders):
            path = f"{folder}/{name}"
            inner = os.path.realpath(path) if os.path.islink(path) else f"{real}/{name}"  # noqa: PTH114
            if name in IGNORED_FOLDERS or inner in above:
                subfolders.remove(name)
            else:
                known[path] = (inner, above | {inner})
        for name in names:
            path = f"{folder}/{name}"
            is_file = os.path.isfile(path) or os.path.islink(path)  # noqa: PTH113, PTH114
            if is_file and not name.endswith(COMPILED_SUFFIXES):
                yield path.removeprefix(f"{root}/")


def raise_unreadable(error: OSError, why: str = "what is in that folder may determine the index") -> NoReturn:
    """Raise `ConfigError` for an input that cannot be read; `why` says why it matters."""
    raise ConfigError(
        f"{error.filename} cannot be read: {error.strerror}",
        cause=why,
        hint="restore it, remove it, or correct the setting that names it",
    ) from error


def find_index_code(site: Site) -> set[str]:
    """Return the files that the search indexes are made of: their import closure, and their models' apps."""
    modules = (file for file in site.files if file.endswith(".py"))
    roots = [file for file in modules if INDEX_MODULE in PurePosixPath(file).with_suffix("").parts]
    return _closure(site, roots, _imported_files, _app_files)


def find_templates(site: Site) -> set[str]:
    """Return the documents' templates, and what they extend, include and load by name."""
    roots = [file for file in site.files if INDEX_TEMPLATES in f"/{file}"]
    return _closure(site, roots, _template_files, _imported_files)


def find_settings(site: Site, environment: Iterable[str] = ()) -> set[str]:
    """Return the settings module, with what it imports; nothing where no module of the site's is named.

    The texts `environment` say what is set in the site's container. As in Django, that goes before what
    manage.py sets, which counts only where they name none.
    """
    manage_py = site.read("manage.py") if "manage.py" in site.files else b""
    for text in ("\n".join(environment), manage_py.decode(errors="replace")):
        modules = (site.module_file(found["module"]) for found in SETTINGS.finditer(text))
        if named := set(filter(None, modules)):
            return _closure(site, named, _imported_files)
    return set()


def _closure(site: Site, roots: Iterable[str], *relations: Callable[[Site, str], Iterable[str]]) -> set[str]:
    """Return these files and every file that the relations lead to, directly or not."""
    found: set[str] = set()
    left = set(roots)
    while left:
        file = left.pop()
        found.add(file)
        left |= {each for relation in relations for each in relation(site, file)} - found
    return found


def _app_files(site: Site, file: str) -> Iterator[str]:
    """Yield what belongs to the models in a file: migrations, and the app's configuration."""
    path = PurePosixPath(file)
    if path.name == "models.py":
        app = path.parent
    elif path.parent.name == "models":
        app = path.parent.parent
    else:
        return
    for each in site.files:
        other = PurePosixPath(each)
        if (other.parent == app / "migrations" and other.suffix == ".py") or other == app / "apps.py":
            yield each


def _imported_files(site: Site, file: str) -> Iterator[str]:
    """Yield the files that importing a module runs: those that it imports, and each package on the way."""
    names = _imported_names(site.read(file), file) if file.endswith(".py") else ()
    for name in names:
        parts = name.split(".")
        modules = (site.module_file(".".join(parts[:number])) for number in range(1, len(parts) + 1))
        yield from filter(None, modules)


def _imported_names(source: bytes, file: str) -> Iterator[str]:
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
            start = [*base, *filter(None, [node.module])]
            yield from (".".join([*start, alias.name]) for alias in node.names)


def _template_files(site: Site, file: str) -> Iterator[str]:
    """Yield the files that a template extends, includes and loads by name."""
    if file.endswith(".py"):
        return
    for tag, rest in TAG.findall(site.read(file).decode(errors="replace")):
        if tag == "load":
            names = rest.partition(" from ")[2].split() or rest.split()
            endings = tuple(f"/templatetags/{name}.py" for name in names)
            yield from (each for each in site.files if f"/{each}".endswith(endings))
        elif literal := LITERAL.match(rest):
            # Relative ones start in their own template's folder.
            ending = "/" + literal["name"].lstrip("./")
            paths = (f"/{each}" for each in site.files)
            yield from (path[1:] for path in paths if "/templates/" in path and path.endswith(ending))


def mounted_files(root: Path, mounts: Iterable[str]) -> dict[str, str]:
    """Return the files that mounts (PATH:PATH_IN_THE_CONTAINER) bring along, and where each is then."""
    found: dict[str, str] = {}
    for mount in mounts:
        source, _, target = mount.partition(":")
        if (root / source).is_dir():
            found |= {f"{source}/{each}": f"{target}/{each}" for each in list_files(root / source)}
        else:
            found[source] = target
    return found


def match_globs(root: Path, globs: Iterable[str]) -> set[str]:
    """Return the files that globs match, relative to `root`; a folder stands for everything in it.

    Raises `ConfigError` where a glob matches nothing, or cannot be one.
    """
    found: set[str] = set()
    for pattern in globs:
        try:
            matched = list(root.glob(pattern))
        except (ValueError, NotImplementedError, IndexError) as error:
            raise ConfigError(
                f"index.inputs: {pattern!r}: {error}",
                cause="it is a glob that starts in the repository, such as web/data/*.json",
                hint="correct that entry in [tool.haybale.index]",
            ) from error
        if not matched:
            raise ConfigError(
                f"index.inputs: nothing matches {pattern!r}",
                cause="an entry that stands for no file would guard nothing",
                hint="correct or remove that entry in [tool.haybale.index]",
            )
        for path in matched:
            start = path.relative_to(root).as_posix()
            if path.is_dir():
                found |= {f"{start}/{file}" for file in list_files(path)}
            elif not start.endswith(COMPILED_SUFFIXES):
                found.add(start)
    return found
