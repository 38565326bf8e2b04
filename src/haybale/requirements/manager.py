"""What pins the site's requirements (pip, uv, poetry, pdm, pipenv), and the commands that install them.

A lock is written out as a requirements file by its own tool, which needs no network for that, and pip
installs the file. So one way to the package index, through proxies and with the machine's certificates, holds
for all of them, and hashes are checked where the lock has them.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from haybale.errors import ConfigError
from haybale.requirements.lines import logical_lines, normal_path, read_text, with_included

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from haybale.config import RequirementsSettings

# The tool of each lock, by the lock's name.
LOCKS = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv"}

# The folder in the image where the commands are run, with the repository's files under their paths in it.
BUILD_FOLDER = "/build"
# Where the requirements are installed, and where a lock's own tool is while they are.
VENV, TOOLS = "/venv", "/tools"
# What a lock's tool writes into BUILD_FOLDER.
PRODUCTION, DEVELOPMENT = "haybale-production.txt", "haybale-development.txt"

# The last minor version whose `pkg_resources` gives no warning; setuptools 82 has none. Haystack 3.1 and many
# older packages import it without asking for setuptools: up to Python 3.11 every environment had it.
SETUPTOOLS = (
    "setuptools==80.10.2 --hash=sha256:95b30ddfb717250edb492926c92b5221f7ef3fbcc2b07579bcd4a27da21d0173"
)
IMPORT = r"^(import|from) pkg_resources"

# The image's own pip, not one in VENV, which has none.
PIP_INSTALL = f"python -m pip --python {VENV}/bin/python install --no-cache-dir"

# What packages are built with (the setting `build`), and the wheels that become of them.
BUILD_TOOLS, WHEELS = f"{BUILD_FOLDER}/haybale-tools", f"{BUILD_FOLDER}/haybale-wheels"

# The machine's certificates and its settings of pip, for one command: nothing of them stays in the image.
SECRETS = ("--mount=type=secret,id=ca,required=false", "--mount=type=secret,id=pip,required=false")
CA = "/run/secrets/ca"
CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO")
PIP_SETTINGS = (
    f"if [ -s {CA} ]; then export {' '.join(f'{name}={CA}' for name in CA_VARIABLES)}; fi",
    "if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi",
)
PREPARATION = (*PIP_SETTINGS, f"PATH=${{PATH#{VENV}/bin:}}")

# A requirement that is a folder of the repository; one that comes out of a version control system.
LOCAL = re.compile(
    r"^(?:(?:-e|--editable)[ =]*)?(?:[\w.-]+(?:\[[^]]*\])?\s*@\s*)?(?P<path>\.{1,2}(?:/[^\s;\[]*)?)"
)
REMOTE = re.compile(r"\b(git|hg|svn|bzr)\+")


@dataclass(frozen=True, kw_only=True)
class InstallCommands:
    """How an image gets the site's requirements, in stages that are built again only where they must.

    1. Where there are `tools` (for a lock): `tool_files`, then `tools`, which leave the files PRODUCTION and
       DEVELOPMENT in BUILD_FOLDER.
    2. `files`, with PRODUCTION of stage 1, then `production`, which makes VENV.
    3. Where there is `development`: VENV of stage 2, `files` and `development_files`, with DEVELOPMENT of
       stage 1, then `development`, which adds to VENV.

    Files are paths from the repository's root, of files or folders, to be copied to the same paths in
    BUILD_FOLDER (`copy_instruction`). Commands are lines for a POSIX shell, run in BUILD_FOLDER as root
    (`run_instruction`). `packages` are Debian packages that stages 2 and 3 need.
    """

    manager: str
    tool_files: tuple[str, ...] = ()
    files: tuple[str, ...]
    development_files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    production: tuple[str, ...]
    development: tuple[str, ...] = ()


def find_manager(production: str) -> str:
    """Return what makes the file that `requirements.production` names; raises `ConfigError` for another."""
    name = PurePosixPath(production).name
    if name in LOCKS:
        return LOCKS[name]
    if name.endswith(".txt"):
        return "pip"
    raise ConfigError(
        f"requirements.production: {production!r} pins nothing that can be installed",
        cause=f"it is neither a requirements file (*.txt) nor one of {', '.join(LOCKS)}",
        hint='name one of these in [tool.haybale.requirements], such as production = "requirements.txt"',
    )


def find_install_commands(root: Path, settings: RequirementsSettings) -> InstallCommands:
    """Return how an image gets the requirements of the repository at `root`.

    Raises `ConfigError` where a file is missing or cannot be understood.
    """
    manager = find_manager(settings.production)
    _require(root, settings.production, "production")
    if settings.development:
        _require(root, settings.development, "development")
    if settings.build:
        _require(root, settings.build, "build")
    if manager == "pip":
        return _pip(root, settings)
    lock = _read_lock(root, settings.production)
    return LOCK_COMMANDS[manager](root, settings, lock)


def copy_instruction(files: Iterable[str]) -> str:
    """Return Dockerfile lines that copy files or folders of the repository into BUILD_FOLDER."""
    pairs = [(file, posixpath.normpath(f"{BUILD_FOLDER}/{file}")) for file in files]
    return "\n".join(f"COPY {json.dumps([file, place])}" for file, place in pairs)


def run_instruction(commands: Iterable[str]) -> str:
    """Return the RUN instruction of a Dockerfile with commands of `InstallCommands`."""
    secrets = [f"{secret} \\\n    " for secret in SECRETS]
    prepared = "; \\\n    ".join(PREPARATION)
    return f"RUN {''.join(secrets)}{prepared}; \\\n    cd {BUILD_FOLDER} \\\n && " + " \\\n && ".join(
        commands
    )


def _require(root: Path, name: str, setting: str) -> None:
    if not (root / name).is_file():
        raise ConfigError(
            f"requirements.{setting}: there is no file {root / name}",
            cause="the image installs what it lists",
            hint=f'name the right one in [tool.haybale.requirements], such as {setting} = "requirements.txt"',
        )


# pip ------------------------------------------------------------------------------------------------------


def _pip(root: Path, settings: RequirementsSettings) -> InstallCommands:
    files, folder = _pip_files(root, settings.production)
    has_hashes = _has_hashes(root, files)
    development_files: tuple[str, ...] = ()
    development: tuple[str, ...] = ()
    if settings.development:
        more, folder = _pip_files(root, settings.development)
        development_files = tuple(file for file in more if file not in files)
        development = (_install(settings, settings.development, folder, has_hashes=_has_hashes(root, more)),)
    return InstallCommands(
        manager="pip",
        files=(*files, *([settings.build] if settings.build else [])),
        development_files=development_files,
        packages=_packages(root, (*files, *development_files)),
        production=_make_venv(_install(settings, settings.production, folder, has_hashes=has_hashes)),
        development=development,
    )


def _pip_files(root: Path, name: str) -> tuple[tuple[str, ...], str]:
    """Return a requirements file with all that it names in the repository, and where pip is to be run.

    pip takes the files that are included from beside the file, and folders from where it is run.
    """
    found = {_relative(root, file): None for file in with_included([root / name])}
    place = ""
    for file in list(found):
        for number, line in logical_lines(read_text(root / file)):
            if not (match := LOCAL.match(line)):
                continue
            here = [base for base in ("", posixpath.dirname(file)) if (root / base / match["path"]).exists()]
            if not here:
                raise ConfigError(
                    f"{root / file}:{number}: there is no {match['path']}",
                    cause="a requirement that begins with a dot is a folder of the repository",
                    hint="correct that line",
                )
            place = here[0]
            found[_relative(root, root / place / match["path"])] = None
    return tuple(found), place


def _relative(root: Path, path: Path) -> str:
    """Return a path from the root, without .. in it; raises `ConfigError` where it lies outside."""
    normal, top = normal_path(path.absolute()), normal_path(root.absolute())
    if not normal.is_relative_to(top):
        raise ConfigError(
            f"{path} is not in the repository",
            cause="an image is built from the repository alone",
            hint="move it into the repository",
        )
    return normal.relative_to(top).as_posix()


def _has_hashes(root: Path, files: Iterable[str]) -> bool:
    return any("--hash=" in read_text(root / file) for file in files)


def _packages(root: Path, files: Iterable[str]) -> tuple[str, ...]:
    """Return the Debian packages with the version control systems that requirements come out of."""
    names = {"git": "git", "hg": "mercurial", "svn": "subversion", "bzr": "brz"}
    used = {system for file in files for system in REMOTE.findall(read_text(root / file))}
    return tuple(names[system] for system in sorted(used))


def _make_venv(install: str) -> tuple[str, ...]:
    """Return the commands that make VENV: with what `install` installs, and setuptools where needed."""
    is_missing = f"! {VENV}/bin/python -c 'import setuptools' 2>/dev/null"
    is_old = f"{VENV}/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 12))'"
    is_imported = f"grep -rqsE --include='*.py' '{IMPORT}' {VENV}/lib"
    listed = f"echo '{SETUPTOOLS}' >setuptools.txt"
    added = f"{listed} && {PIP_INSTALL} --require-hashes -r setuptools.txt"
    completed = f"if {is_missing} && {{ {is_old} || {is_imported}; }}; then {added}; fi"
    return (f"python -m venv --without-pip {VENV}", install, completed)


def _install(
    settings: RequirementsSettings,
    file: str,
    folder: str = "",
    *,
    has_hashes: bool,
    is_complete: bool = False,
) -> str:
    """Return the command that installs a file, with pip in a folder of BUILD_FOLDER.

    `is_complete`: everything that is needed is in it.
    """
    options = [*(["--require-hashes"] if has_hashes else []), *(["--no-deps"] if is_complete else [])]
    listed = ["-r", shlex.quote(posixpath.join(BUILD_FOLDER, file))]
    words = " ".join([PIP_INSTALL, *options, *listed])
    if settings.build:
        words = _install_built(settings.build, posixpath.basename(file), [*options, *listed])
    place = shlex.quote(folder)
    # It is there only where something of it was copied.
    return f"(mkdir -p {place} && cd {place} && {words})" if folder else words


def _install_built(tools: str, name: str, words: Iterable[str]) -> str:
    """Return the command that makes wheels of everything with `tools` alone, and installs them.

    What is beside Python on PYTHONPATH counts as installed for `pip install`, not for `pip wheel`.
    """
    wheels = f"{WHEELS}/{shlex.quote(name)}"
    fetch = "python -m pip install --no-cache-dir --require-hashes --only-binary :all: --upgrade"
    build = f"PYTHONPATH={BUILD_TOOLS} python -m pip --python {VENV}/bin/python wheel --no-cache-dir"
    return " \\\n && ".join([
        f"{fetch} --target {BUILD_TOOLS} -r {shlex.quote(posixpath.join(BUILD_FOLDER, tools))}",
        f"{build} --no-build-isolation --wheel-dir {wheels} {' '.join(words)}",
        f"{PIP_INSTALL} --no-index --no-deps {wheels}/*.whl",
    ])  # fmt: skip


# Locks ----------------------------------------------------------------------------------------------------


def _read_lock(root: Path, name: str) -> dict[str, Any]:
    text = read_text(root / name)
    is_json = name.endswith("Pipfile.lock")
    try:
        document: dict[str, Any] = json.loads(text) if is_json else tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"{root / name}: {error}",
            cause=f"it is not {'JSON' if is_json else 'TOML'}, as which its tool writes it",
            hint="make it again with its tool",
        ) from error
    return document


def _uv(root: Path, settings: RequirementsSettings, lock: Mapping[str, Any]) -> InstallCommands:
    """Return the commands for a uv.lock (docs.astral.sh/uv, "Locking and syncing", and the file itself)."""
    tool = _pyproject(root, settings).get("tool", {}).get("uv", {})
    wanted = str(tool.get("required-version", ""))
    version = f"=={wanted}" if wanted[:1].isdigit() else wanted
    own = settings.package
    sources = {package["name"]: package.get("source", {}) for package in lock.get("package", [])}
    # What is virtual is installed nowhere.
    places = {
        name: _local_path(source, ("directory", "editable", "path")) for name, source in sources.items()
    }
    local = [path for name, path in places.items() if path and path != "." and name != own]
    read: tuple[str, ...] = ()
    if own:
        # uv knows a member by its pyproject.toml.
        member = _local_path(sources.get(own, {}), ("editable", "virtual", "directory"))
        if not member:
            raise ConfigError(
                f"requirements.package: {root / settings.production} has no package {own!r}",
                cause="the site's package is a member of the uv workspace, in this repository",
                hint="name it as its pyproject.toml does, or leave the setting out",
            )
        read = (posixpath.join(member, "pyproject.toml"),)
    uses_git = any("git" in source for source in sources.values())
    has_hashes = not uses_git and all(path in {None, "."} for name, path in places.items() if name != own)
    extras = [word for extra in settings.extras for word in ("--extra", extra)]
    groups = [word for group in settings.groups for word in ("--group", group)]
    indexes = tool.get("index", [])
    has_index = bool(indexes or {"index-url", "extra-index-url"} & {*tool})
    has_default = "index-url" in tool or any(index.get("default") for index in indexes)
    export = [
        "uv", "export", "--frozen", "--offline", "--no-python-downloads", "--no-emit-project",
        "--no-editable", "--no-header", "--no-annotate",
        *(["--package", own] if own else []),
        *([] if has_hashes else ["--no-hashes"]),
        *(["--emit-index-url"] if has_index else []),
        *extras,
    ]  # fmt: skip
    return _from_lock(
        root, settings, "uv",
        tools=[f"uv{version}"],
        production=[*export, "--no-default-groups", *groups, ">"],
        development=[*export, "--all-groups", ">"],
        # Without a default of its own it would name the public index, and no machine's.
        dropped=None if has_default else "--index-url",
        read=read, local=local, uses_git=uses_git, has_hashes=has_hashes,
    )  # fmt: skip


def _local_path(source: Mapping[str, Any], kinds: Iterable[str]) -> str | None:
    """Return the folder or file of the repository that a package in a uv.lock comes from."""
    return next((str(source[kind]) for kind in kinds if kind in source), None)


def _poetry(root: Path, settings: RequirementsSettings, lock: Mapping[str, Any]) -> InstallCommands:
    """Return the commands for a poetry.lock (python-poetry.org, and poetry-plugin-export)."""
    project = _pyproject(root, settings)
    tool = project.get("tool", {}).get("poetry", {})
    sources = [package.get("source", {}) for package in lock.get("package", [])]
    local = [str(source["url"]) for source in sources if source.get("type") in {"directory", "file"}]
    uses_git = any(source.get("type") == "git" for source in sources)
    has_hashes = not local and not uses_git
    known = [*tool.get("group", {}), *project.get("dependency-groups", {})]
    known += ["dev"] if "dev-dependencies" in tool else []
    extras = [word for extra in settings.extras for word in ("--extras", extra)]
    export = [
        "poetry", "export", "--no-interaction", "--format", "requirements.txt",
        *([] if has_hashes else ["--without-hashes"]), *extras,
    ]  # fmt: skip
    production, development = (
        [*export, *(["--with", ",".join(dict.fromkeys(groups))] if groups else []), "--output"]
        for groups in (settings.groups, [group for group in known if group != "main"])
    )
    return _from_lock(
        root, settings, "poetry",
        tools=[f"poetry{tool.get('requires-poetry', '')}", "poetry-plugin-export"],
        production=production, development=development,
        local=local, uses_git=uses_git, has_hashes=has_hashes,
    )  # fmt: skip


def _pdm(root: Path, settings: RequirementsSettings, lock: Mapping[str, Any]) -> InstallCommands:
    """Return the commands for a pdm.lock (pdm-project.org, "Lock file")."""
    packages = lock.get("package", [])
    local = [str(package["path"]) for package in packages if "path" in package]
    uses_git = any("git" in package for package in packages)
    has_hashes = not local and not uses_git
    extras = [word for extra in settings.extras for word in ("--group", extra)]
    groups = [word for group in settings.groups for word in ("--group", group)]
    export = [
        "pdm",
        "export",
        "--quiet",
        "--format",
        "requirements",
        *([] if has_hashes else ["--no-hashes"]),
    ]
    return _from_lock(
        root, settings, "pdm",
        tools=["pdm"],
        production=[*export, *extras, *(["--dev", *groups] if groups else ["--production"]), "--output"],
        development=[*export, *extras, "--output"],
        local=local, uses_git=uses_git, has_hashes=has_hashes,
    )  # fmt: skip


def _pipenv(root: Path, settings: RequirementsSettings, lock: Mapping[str, Any]) -> InstallCommands:
    """Return the commands for a Pipfile.lock (pipenv.pypa.io, "requirements")."""
    pins = [pin for name, part in lock.items() if name != "_meta" for pin in part.values()]
    local = [
        str(pin[kind]) for pin in pins for kind in ("path", "file") if kind in pin and "://" not in pin[kind]
    ]
    uses_git = any("git" in pin for pin in pins)
    has_hashes = not local and not uses_git
    indexes = lock.get("_meta", {}).get("sources", [])
    # The first one is what every new Pipfile has; it would stand before the machine's own index.
    is_plain = all(index.get("name") == "pypi" for index in indexes)
    options = [*(["--hash"] if has_hashes else []), *(["--exclude-index"] if is_plain else [])]
    export = ["pipenv", "requirements", *options]
    categories = ["--categories", " ".join(["packages", *settings.groups])] if settings.groups else []
    return _from_lock(
        root, settings, "pipenv",
        tools=["pipenv"],
        production=[*export, *categories, ">"],
        development=[*export, "--dev", ">"],
        local=local, uses_git=uses_git, has_hashes=has_hashes,
    )  # fmt: skip


LOCK_COMMANDS = {"uv": _uv, "poetry": _poetry, "pdm": _pdm, "pipenv": _pipenv}


def _pyproject(root: Path, settings: RequirementsSettings) -> dict[str, Any]:
    """Return the pyproject.toml beside the lock."""
    name = posixpath.join(posixpath.dirname(settings.production), "pyproject.toml")
    _require(root, name, "production")
    return _read_lock(root, name)


def _from_lock(
    root: Path,
    settings: RequirementsSettings,
    manager: str,
    *,
    tools: Iterable[str],
    production: Iterable[str],
    development: Iterable[str],
    dropped: str | None = None,
    read: Iterable[str] = (),
    local: Iterable[str],
    uses_git: bool,
    has_hashes: bool,
) -> InstallCommands:
    """Return the commands for a lock: its tool writes a requirements file for each, and pip installs it.

    `production` and `development` are the tool's commands that write a file, without its name; lines that
    begin with `dropped` are left out. `read` are further files that the tool reads, `local` folders that the
    lock names and pip installs, both from the lock's folder.
    """
    folder = posixpath.dirname(settings.production)
    beside = {"pipenv": ("Pipfile",), "uv": ("pyproject.toml", "uv.toml")}.get(manager, ("pyproject.toml",))
    names = [posixpath.join(folder, name) for name in beside]
    files = [_relative(root, root / folder / path) for path in dict.fromkeys(local)]
    tool_files = [settings.production, *(name for name in names if (root / name).is_file())]
    tool_files += [_relative(root, root / folder / path) for path in dict.fromkeys((*read, *local))]
    exports = [
        _export(folder, [*command, f"{BUILD_FOLDER}/{output}"])
        for command, output in ((production, PRODUCTION), (development, DEVELOPMENT))
    ]
    # Nothing is editable in an image: the folder would have to stay.
    edits = [r"s/^(-e|--editable)[ =]+//", *([f"/^{dropped} /d"] if dropped else [])]
    words = " ".join(f"-e {shlex.quote(edit)}" for edit in edits)
    install = [
        _install(settings, file, folder, has_hashes=has_hashes, is_complete=True)
        for file in (PRODUCTION, DEVELOPMENT)
    ]
    return InstallCommands(
        manager=manager,
        tool_files=tuple(tool_files),
        files=(*files, *([settings.build] if settings.build else [])),
        packages=("git",) if uses_git else (),
        tools=(
            f"python -m venv --without-pip {TOOLS}",
            f"python -m pip --python {TOOLS}/bin/python install --no-cache-dir {shlex.join(tools)}",
            *exports,
            f"sed -i -E {words} {PRODUCTION} {DEVELOPMENT}",
        ),
        production=_make_venv(install[0]),
        development=(install[1],),
    )


def _export(folder: str, words: Iterable[str]) -> str:
    """Return the command of a lock's tool, run beside the lock; ">" sends its output into a file."""
    command = f"{TOOLS}/bin/" + " ".join(word if word == ">" else shlex.quote(word) for word in words)
    return f"(cd {shlex.quote(folder)} && {command})" if folder else command
