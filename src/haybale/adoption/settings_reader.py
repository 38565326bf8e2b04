"""Reads a site's settings: what they assign, and which variables their expressions take."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from haybale.adoption.file_paths import PathReader
from haybale.adoption.site_settings import (
    VARIABLE,
    Connection,
    Database,
    Purpose,
    Reference,
    SiteSettings,
    Template,
    Variable,
    as_text,
    last_name,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Objects that are indexed or asked for a variable by name.
ENVIRONMENTS = re.compile(r"_?(os_?)?env(iron)?", re.IGNORECASE)
# Functions that read a variable: getenv(), env(), decouple's config(), and a site's own get_env_setting().
READER = re.compile(r"getenv|config|.*env.*", re.IGNORECASE)
# Methods that give None where there is no variable.
OPTIONAL_READERS = {"getenv", "get", "setdefault", "pop"}
# What reads a variable of a name of its own, where none is given (django-environ, environs, dj-database-url).
OWN_NAMES = {
    "db": "DATABASE_URL", "db_url": "DATABASE_URL", "dj_db_url": "DATABASE_URL", "cache": "CACHE_URL",
    "cache_url": "CACHE_URL", "dj_cache_url": "CACHE_URL", "search_url": "SEARCH_URL",
}  # fmt: skip

# Where expressions are followed no further; settings of people are never so deep.
DEEPEST = 8

# The settings whose variables are known by them.
SETTINGS = {
    "SECRET_KEY": Purpose.SECRET_KEY, "ALLOWED_HOSTS": Purpose.HOSTS, "CSRF_TRUSTED_ORIGINS": Purpose.ORIGINS,
    "DEBUG": Purpose.DEBUG, "BASE_DIR": Purpose.FOLDER, "PROJECT_ROOT": Purpose.FOLDER,
}  # fmt: skip
DATABASE_OPTIONS = {
    "ENGINE": Purpose.DATABASE_ENGINE, "NAME": Purpose.DATABASE_NAME, "USER": Purpose.DATABASE_USER,
    "PASSWORD": Purpose.DATABASE_PASSWORD, "HOST": Purpose.DATABASE_HOST, "PORT": Purpose.DATABASE_PORT,
}  # fmt: skip


def read_settings(files: Sequence[tuple[str, str]]) -> SiteSettings:
    """Return what settings say: `files` are (name, text), in the order in which Django comes to them.

    A file that is not valid Python says nothing.
    """
    reader = _Reader()
    for name, text in files:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        reader.read(name, tree)
    return reader.result()


@dataclass
class _Assigned:
    """An expression that a name was given, and the file that it is in."""

    value: ast.expr
    file: str


@dataclass
class _Reader:
    """Goes through settings from the top, and notes what is assigned and which variables are read."""

    assigned: dict[str, _Assigned] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    found: dict[str, Variable] = field(default_factory=dict)
    declared: dict[str, str | None] = field(default_factory=dict)
    is_env_file_read: bool = False
    # What `env.prefixed("NAME_")` puts before names, by the line of the call that reads one.
    prefixes: dict[int, str] = field(default_factory=dict)

    def read(self, file: str, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.Call):
                self._note_declarations(node)
            elif isinstance(node, ast.With):
                self._note_prefix(node)
        self._read_block(file, tree.body, is_certain=True)

    def _note_declarations(self, call: ast.Call) -> None:
        """Note what `environ.Env(NAME=(type, default))` declares, and that a file of variables is read."""
        if last_name(call.func) in {"Env", "FileAwareEnv"}:
            for each in call.keywords:
                if each.arg and isinstance(each.value, ast.Tuple) and each.value.elts[1:]:
                    self.declared[each.arg] = _plain(each.value.elts[1])
        elif last_name(call.func) in {"read_env", "load_dotenv", "read_envfile"}:
            self.is_env_file_read = True

    def _note_prefix(self, block: ast.With) -> None:
        for item in block.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and last_name(call.func) == "prefixed" and call.args:
                for node in ast.walk(block):
                    if isinstance(node, ast.Call) and node is not call:
                        before = self.prefixes.get(id(node), "")
                        self.prefixes[id(node)] = before + (text_of(call.args[0]) or "")

    def _read_block(self, file: str, body: Iterable[ast.stmt], *, is_certain: bool) -> None:
        for statement in body:
            self._read_statement(file, statement, is_certain=is_certain)

    def _read_statement(self, file: str, statement: ast.stmt, *, is_certain: bool) -> None:
        if isinstance(statement, ast.If):
            self._read_expression(file, statement.test, is_certain=is_certain)
            taken = _is_taken_in_production(statement.test)
            self._read_block(file, statement.body, is_certain=is_certain and taken is True)
            self._read_block(file, statement.orelse, is_certain=is_certain and taken is False)
        elif isinstance(statement, ast.Try):
            self._read_block(file, statement.body, is_certain=is_certain and not statement.handlers)
            for handler in statement.handlers:
                self._read_block(file, handler.body, is_certain=False)
            self._read_block(file, [*statement.orelse, *statement.finalbody], is_certain=False)
        elif isinstance(statement, ast.With | ast.For | ast.While):
            self._read_block(file, statement.body, is_certain=is_certain)
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            is_class = isinstance(statement, ast.ClassDef)  # django-configurations has settings in classes
            self._read_block(file, statement.body, is_certain=is_certain and is_class)
        else:
            self._note_assignment(file, statement)
            self._read_expression(file, statement, is_certain=is_certain)

    def _note_assignment(self, file: str, statement: ast.stmt) -> None:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets = [statement.target]
        value = getattr(statement, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                self._assign(target.id, value, file)
            elif isinstance(target, ast.Subscript) and isinstance(value, ast.expr):
                # DATABASES["default"]["HOST"] = ...
                self._assign(".".join(_keys(target)), value, file)
        call = statement.value if isinstance(statement, ast.Expr) else None
        function = call.func if isinstance(call, ast.Call) and call.args else None
        if isinstance(call, ast.Call) and isinstance(function, ast.Attribute) and function.attr == "update":
            # DATABASES["default"].update(...)
            self._assign(".".join([*_keys(function.value), "*"]), call.args[0], file)

    def _assign(self, name: str, value: ast.expr, file: str) -> None:
        self.assigned.pop(name, None)
        for inner in [each for each in self.assigned if each.startswith(f"{name}.")]:
            del self.assigned[inner]
        self.assigned[name] = _Assigned(value, file)

    def _read_expression(self, file: str, node: ast.AST, *, is_certain: bool) -> None:
        """Note the variables of an expression; those of a branch or after `or` are not always read."""
        if isinstance(node, ast.IfExp):
            self._read_expression(file, node.test, is_certain=is_certain)
            taken = _is_taken_in_production(node.test)
            self._read_expression(file, node.body, is_certain=is_certain and taken is True)
            self._read_expression(file, node.orelse, is_certain=is_certain and taken is False)
            return
        if isinstance(node, ast.BoolOp):
            first, *others = node.values
            self._read_expression(file, first, is_certain=is_certain)
            for each in others:
                self._read_expression(file, each, is_certain=False)
            return
        if isinstance(node, ast.Lambda):
            is_certain = False
        if isinstance(node, ast.BinOp | ast.Call) and not self.reference(node):
            self._note_filled_text(file, node, is_certain=is_certain)
        reference = self.reference(node)
        if reference:
            name, default, is_needed = reference
            variable = Variable(
                name=name, is_required=is_needed and is_certain, place=f"{file}:{node.lineno}",  # type: ignore[attr-defined]
                default=default,
            )  # fmt: skip
            before = self.found.get(name)
            # Whoever reads it first with a default would fail later all the same.
            if before is None or (variable.is_required and before.default is None):
                self.found[name] = variable
        for child in ast.iter_child_nodes(node):
            self._read_expression(file, child, is_certain=is_certain)

    def _note_filled_text(self, file: str, node: ast.expr, *, is_certain: bool) -> None:
        """Note the variables that a text is filled with: "http://%(HOST)s/" % os.environ."""
        right = node.right if isinstance(node, ast.BinOp) else None
        keywords = node.keywords if isinstance(node, ast.Call) else []
        values = [right, *(each.value for each in keywords if each.arg is None)]
        if any(each is not None and _is_environment(each) for each in values):
            for part in self.template(node):
                if isinstance(part, Reference):
                    place = f"{file}:{node.lineno}"
                    variable = Variable(name=part.variable, is_required=is_certain, place=place)
                    self.found.setdefault(part.variable, variable)

    def reference(self, node: ast.AST) -> tuple[str, str | None, bool] | None:
        """Return name and default of the variable that an expression reads, and whether it is needed."""
        if isinstance(node, ast.Subscript) and _is_environment(node.value):
            name = text_of(node.slice)
            return (name, None, True) if name and VARIABLE.fullmatch(name) else None
        if not isinstance(node, ast.Call):
            return None
        function = last_name(node.func) or ""
        root = _root_name(node.func)
        if function == "config" and root == "dj_database_url":
            name = text_of(_keyword(node, "env")) or (text_of(node.args[0]) if node.args else None)
            return name or "DATABASE_URL", self._default(node, first=None), False
        is_method = isinstance(node.func, ast.Attribute) and _is_environment(node.func.value)
        if not (is_method or READER.fullmatch(function)) or function in {"Env", "read_env", "prefixed"}:
            return None
        name = text_of(node.args[0]) if node.args else (OWN_NAMES.get(function) if is_method else None)
        if not name or not VARIABLE.fullmatch(name):
            return None
        name = self.prefixes.get(id(node), "") + name
        # A site's own required("NAME", "what it is for") has its words where others have a default.
        is_own = function == "required"
        has_default = not is_own and bool(node.args[1:] or _keyword(node, "default") or name in self.declared)
        default = None if is_own else self._default(node, first=1)
        if default is None and name in self.declared:
            default = self.declared[name]
        return name, default, not has_default and function not in OPTIONAL_READERS

    def _default(self, call: ast.Call, first: int | None) -> str | None:
        value = _keyword(call, "default")
        if value is None and first is not None and call.args[first:]:
            value = call.args[first]
        return as_text(self.template(value)) if value is not None else None

    def template(self, node: ast.expr | None, depth: int = 0) -> Template:
        """Return a text as an expression puts it together."""
        readers: dict[type[ast.expr], Callable[[Any, int], Template]] = {
            ast.Constant: self._constant, ast.Name: self._name, ast.JoinedStr: self._formatted,
            ast.FormattedValue: lambda value, deeper: self.template(value.value, deeper),
            ast.BinOp: self._operation, ast.Call: self._call,
            ast.BoolOp: lambda value, deeper: self.template(value.values[0], deeper),
            ast.IfExp: self._choice,
        }  # fmt: skip
        if node is None or depth > DEEPEST:
            return (None,)
        if reference := self.reference(node):
            return (Reference(variable=reference[0], default=reference[1]),)
        read = readers.get(type(node))
        return read(node, depth + 1) if read else (None,)

    @staticmethod
    def _constant(node: ast.Constant, depth: int) -> Template:
        del depth
        return (str(node.value),) if isinstance(node.value, str | int) else (None,)

    def _name(self, node: ast.Name, depth: int) -> Template:
        assigned = self.assigned.get(node.id)
        return self.template(assigned.value, depth) if assigned else (None,)

    def _formatted(self, node: ast.JoinedStr, depth: int) -> Template:
        return _joined(self.template(each, depth) for each in node.values)

    def _choice(self, node: ast.IfExp, depth: int) -> Template:
        return self.template(node.body if _is_taken_in_production(node.test) else node.orelse, depth)

    def _operation(self, node: ast.BinOp, depth: int) -> Template:
        left, right = self.template(node.left, depth), node.right
        if isinstance(node.op, ast.Add | ast.Div):  # Div: of paths
            slash: Template = ("/",) if isinstance(node.op, ast.Div) else ()
            return _joined([left, slash, self.template(right, depth)])
        if isinstance(node.op, ast.Mod) and (text := text_of(node.left)):
            if _is_environment(right):  # "http://%(HOST)s/" % os.environ
                return _with_variables(re.split(r"%\((\w+)\)[sd]", text))
            values = right.elts if isinstance(right, ast.Tuple) else [right]
            return self._filled(re.split(r"%[sd]", text), values, depth)
        return (None,)

    def _call(self, node: ast.Call, depth: int) -> Template:
        name, function = last_name(node.func), node.func
        owner = function.value if isinstance(function, ast.Attribute) else None
        if name == "format" and (text := text_of(owner)):
            return self._format(text, node, depth)
        if name in {"rstrip", "strip", "lower"} and owner is not None:
            return self.template(owner, depth)
        if name in {"str", "int", "Path", "urljoin", "join"}:  # join: os.path's
            slash = ["/"] if name == "join" else []
            return _joined(
                (*slash[:number], *self.template(each, depth)) for number, each in enumerate(node.args)
            )
        return (None,)

    def _format(self, text: str, call: ast.Call, depth: int) -> Template:
        named = {each.arg: each.value for each in call.keywords if each.arg}
        if any(each.arg is None and _is_environment(each.value) for each in call.keywords):
            return _with_variables(re.split(r"\{(\w+)\}", text))
        if named:
            parts = re.split(r"\{([A-Za-z_]\w*)\}", text)
            return _joined(
                self.template(named.get(part), depth) if number % 2 else (part,)
                for number, part in enumerate(parts)
            )
        return self._filled(re.split(r"\{\d*\}", text), call.args, depth)

    def _filled(self, texts: Sequence[str], values: Sequence[ast.expr], depth: int) -> Template:
        templates: list[Template] = [(texts[0],)]
        for number, text in enumerate(texts[1:]):
            value = values[number] if number < len(values) else None
            templates += [self.template(value, depth), (text,)]
        return _joined(templates)

    def entry(self, node: ast.expr | None, depth: int = 0) -> ast.expr | None:
        """Return the dictionary (or the call that makes one) that an expression stands for."""
        if isinstance(node, ast.Name) and node.id in self.assigned and depth < DEEPEST:
            return self.entry(self.assigned[node.id].value, depth + 1)
        if isinstance(node, ast.Call) and (made := self.functions.get(last_name(node.func) or "")):
            returned = [each.value for each in ast.walk(made) if isinstance(each, ast.Return)]
            return next((each for each in returned if isinstance(each, ast.Dict)), node)
        if isinstance(node, ast.Call) and last_name(node.func) == "dict":
            keys: list[ast.expr | None] = [ast.Constant(each.arg) for each in node.keywords if each.arg]
            made_of = ast.Dict(keys=keys, values=[each.value for each in node.keywords if each.arg])
            return ast.copy_location(made_of, node)
        return node

    def entries(self, setting: str) -> Iterator[tuple[str, ast.expr, str]]:
        """Yield name, value and file of what a setting that is a dictionary has in it."""
        assigned = self.assigned.get(setting)
        value = self.entry(assigned.value) if assigned else None
        if assigned and isinstance(value, ast.Dict):
            for key, inner in zip(value.keys, value.values, strict=True):
                if key is not None and (name := text_of(key)):
                    yield name, inner, assigned.file
        prefix = f"{setting}."
        for name, each in list(self.assigned.items()):
            inner_name = name.removeprefix(prefix)
            if name.startswith(prefix) and "." not in inner_name:
                if inner_name == "*" and isinstance(updated := self.entry(each.value), ast.Dict):
                    for key, value_ in zip(updated.keys, updated.values, strict=True):
                        if key is not None and (text := text_of(key)):
                            yield text, value_, each.file
                else:
                    yield inner_name, each.value, each.file

    def options(self, path: str, value: ast.expr) -> dict[str, ast.expr]:
        """Return the options of an entry, with what is assigned to them one by one."""
        inner = self.entry(value)
        found: dict[str, ast.expr] = {}
        if isinstance(inner, ast.Dict):
            pairs = zip(inner.keys, inner.values, strict=True)
            found = {name: option for key, option in pairs if key is not None and (name := text_of(key))}
        for name, option, _ in self.entries(path):
            found[name] = option
        return found

    def result(self) -> SiteSettings:
        connections = tuple(self._connections())
        database = self._database()
        purposes = self._purposes(connections, database)
        variables = [replace(each, purpose=purposes.get(each.name)) for each in self.found.values()]
        hosts = self.assigned.get("ALLOWED_HOSTS")
        listed = hosts.value.elts if hosts and isinstance(hosts.value, ast.List | ast.Tuple) else []
        return SiteSettings(
            variables=tuple(variables), connections=connections, database=database,
            further_databases={
                name: f"{file}:{value.lineno}"
                for name, value, file in self.entries("DATABASES")
                if name != "default"
            },
            hosts=tuple(text for text in map(text_of, listed) if text),
            is_env_file_read=self.is_env_file_read,
        )  # fmt: skip

    def _connections(self) -> Iterator[Connection]:
        found: dict[str, Connection] = {}
        for alias, value, file in self.entries("HAYSTACK_CONNECTIONS"):
            options = self.options(f"HAYSTACK_CONNECTIONS.{alias}", value)
            engine = as_text(self.template(options.get("ENGINE")))
            url = self.template(options.get("URL"))
            place = f"{file}:{value.lineno}"
            found[alias] = Connection(alias=alias, engine=engine, url=url, place=place)
        yield from found.values()

    def _database(self) -> Database | None:
        for name, value, file in reversed([*self.entries("DATABASES")]):
            if name == "default":
                options = self.options("DATABASES.default", value)
                templates = {key: self.template(option) for key, option in options.items()}
                engine = as_text(templates.get("ENGINE", (None,)))
                if "NAME" not in options:
                    # dj_database_url.config(...), env.db(...): the whole entry is one URL.
                    templates["URL"] = self._first_reference(self.entry(value))
                path = PathReader(find=self._find).read(options.get("NAME"), file)
                place = f"{file}:{value.lineno}"
                return Database(engine=engine, options=templates, place=place, path=path)
        return None

    def _find(self, name: str) -> tuple[ast.expr, str] | None:
        found = self.assigned.get(name)
        return (found.value, found.file) if found else None

    def _first_reference(self, node: ast.expr | None) -> Template:
        """Return the variable that an entry is made of, however it is called."""
        for each in ast.walk(node) if node is not None else ():
            if isinstance(each, ast.Name) and each.id in self.assigned:
                found = self.template(each)
                if any(isinstance(part, Reference) for part in found):
                    return found
            if reference := self.reference(each):
                return (Reference(variable=reference[0], default=reference[1]),)
        return (None,)

    def _purposes(self, connections: Sequence[Connection], database: Database | None) -> dict[str, Purpose]:
        found: dict[str, Purpose] = {}
        for setting, purpose in SETTINGS.items():
            if each := self.assigned.get(setting):
                references = (self.reference(node) for node in ast.walk(each.value))
                found |= {reference[0]: purpose for reference in references if reference}
        for option, template in database.options.items() if database else ():
            purpose_ = Purpose.DATABASE_URL if option == "URL" else DATABASE_OPTIONS.get(option)
            if purpose_:
                found |= {part.variable: purpose_ for part in template if isinstance(part, Reference)}
        for connection in connections:
            parts = connection.url if connection.is_solr or connection.engine is None else ()
            found |= {part.variable: Purpose.SOLR for part in parts if isinstance(part, Reference)}
        return found


def _is_taken_in_production(test: ast.expr) -> bool | None:
    """Return whether a branch is taken where DEBUG is off; None where the test is of something else."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        taken = _is_taken_in_production(test.operand)
        return None if taken is None else not taken
    return False if last_name(test) == "DEBUG" else None


def _with_variables(parts: Sequence[str]) -> Template:
    """Return a text whose every second part is a variable's name."""
    return tuple(Reference(variable=part) if number % 2 else part for number, part in enumerate(parts))


def _joined(templates: Iterable[Template]) -> Template:
    return tuple(part for template in templates for part in template)


def _keys(node: ast.expr) -> list[str]:
    """Return NAME, KEY, KEY of NAME["KEY"]["KEY"]; an unknown key is empty."""
    if isinstance(node, ast.Subscript):
        return [*_keys(node.value), text_of(node.slice) or ""]
    return [node.id if isinstance(node, ast.Name) else ""]


def _is_environment(node: ast.expr) -> bool:
    name = last_name(node)
    return name is not None and bool(ENVIRONMENTS.fullmatch(name))


def _plain(node: ast.expr) -> str | None:
    """Return a constant as the text that a variable would have."""
    return str(node.value) if isinstance(node, ast.Constant) and node.value is not None else None


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def _root_name(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
