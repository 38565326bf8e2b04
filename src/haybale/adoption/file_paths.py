"""Reads which file an expression of settings names, such as `BASE_DIR / "db.sqlite3"`."""

from __future__ import annotations

import ast
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import last_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What a path begins with that is made of __file__: the top of the repository.
REPOSITORY = "{repository}"

# Functions and methods that give the same path as they take.
SAME_METHODS = {"resolve", "absolute", "as_posix"}
JOINING = {"Path", "PurePath", "join", "joinpath"}
SAME = {*SAME_METHODS, "abspath", "realpath", "normpath", "str", "fspath"}

# Where expressions are followed no further; settings of people are never so deep.
DEEPEST = 12


@dataclass(frozen=True, kw_only=True)
class PathReader:
    """Reads paths; `find` returns what a name was given, with the file that does, None for an unknown one."""

    find: Callable[[str], tuple[ast.expr, str] | None]

    def read(self, node: ast.expr | None, file: str, depth: int = 0) -> str | None:
        """Return the path that an expression in `file` stands for: absolute, from REPOSITORY, or relative.

        None where a part of it is not written down.
        """
        if depth > DEEPEST:
            return None

        def read(inner: ast.expr) -> str | None:
            return self.read(inner, file, depth + 1)

        path: str | None = None
        match node:
            case ast.Constant(value=str(text)):
                path = text
            case ast.Name(id="__file__"):
                path = f"{REPOSITORY}/{file}"
            case ast.Name(id=name):
                found = self.find(name)
                path = self.read(*found, depth + 1) if found else None
            case ast.JoinedStr(values=parts):
                path = _concatenate([*map(read, parts)])
            case ast.BinOp():
                path = _operate(node, read)
            case ast.Call():
                path = self._call(node, read)
            case ast.Attribute() | ast.Subscript() | ast.FormattedValue():
                path = _part(node, read)
            case _:
                pass
        return path

    def _call(self, node: ast.Call, read: Callable[[ast.expr], str | None]) -> str | None:
        name, function = last_name(node.func) or "", node.func
        owner = function.value if isinstance(function, ast.Attribute) else None
        paths = [read(each) for each in node.args]
        if owner is not None and name in {*SAME_METHODS, "joinpath"}:
            paths = [read(owner), *paths]
        elif isinstance(function, ast.Name) and self.find(name):  # a path of environ's: root("db")
            return _join([read(function), *paths])
        if name in JOINING and paths:
            return _join(paths)
        first = next(iter(paths), None)
        return _parent(first) if name == "dirname" else first if name in SAME else None


def _operate(node: ast.BinOp, read: Callable[[ast.expr], str | None]) -> str | None:
    match node.op, node.right:
        case ast.Div(), right:
            return _join([read(node.left), read(right)])
        case ast.Add(), right:
            return _concatenate([read(node.left), read(right)])
        case ast.Sub(), ast.Constant(value=int(times)):  # environ.Path(__file__) - 2
            return _parent(read(node.left), times)
        case _:
            return None


def _part(node: ast.expr, read: Callable[[ast.expr], str | None]) -> str | None:
    match node:
        case ast.FormattedValue(value=inner):
            return read(inner)
        case ast.Attribute(attr="pardir"):
            return ".."
        case ast.Attribute(value=inner, attr="parent"):
            return _parent(read(inner))
        case ast.Subscript(
            value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(number))
        ):
            return _parent(read(inner), number + 1)
        case _:
            return None


def _parent(path: str | None, times: int = 1) -> str | None:
    return None if path is None else _join([path, *[".."] * times])


def _concatenate(parts: Sequence[str | None]) -> str | None:
    return None if None in parts else "".join(filter(None, parts))


def _join(parts: Sequence[str | None]) -> str | None:
    texts = [each for each in parts if each is not None]
    if not texts or len(texts) < len(parts):
        return None
    joined = posixpath.join(*texts)
    base, slash, inside = joined.partition("/")
    if base == REPOSITORY:
        return base + slash + posixpath.normpath(inside)
    return posixpath.normpath(joined)


def path_in_image(path: str, folder: str, workdir: str | None) -> str | None:
    """Return where a file is in the image: `path` as `PathReader` reads it.

    `workdir` is where the site's `folder` (from the top of the repository) is in the image. Where it is None,
    not known, so is what depends on it.
    """
    if path.startswith("/"):
        return posixpath.normpath(path)
    if workdir is None:
        return None
    if path.startswith(f"{REPOSITORY}/"):
        # However far above the repository either is.
        here = "/a" * 20
        inside = path.removeprefix(f"{REPOSITORY}/")
        path = posixpath.relpath(posixpath.join(here, inside), posixpath.join(here, folder))
    return posixpath.normpath(posixpath.join(workdir, path))
