from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from haybale.config import RequirementsSettings
from haybale.errors import ConfigError
from haybale.requirements.manager import (
    InstallCommands,
    copy_instruction,
    find_install_commands,
    find_manager,
    run_instruction,
)

if TYPE_CHECKING:
    from pathlib import Path

PIP = "python -m pip --python /venv/bin/python install --no-cache-dir"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def find(root: Path, production: str, development: str | None = None, **more: object) -> InstallCommands:
    settings = RequirementsSettings(production=production, development=development, **more)  # type: ignore[arg-type]
    return find_install_commands(root, settings)


@pytest.mark.parametrize(
    ("file", "manager"),
    [
        ("requirements.txt", "pip"),
        ("web/requirements/prod.txt", "pip"),
        ("uv.lock", "uv"),
        ("web/poetry.lock", "poetry"),
        ("pdm.lock", "pdm"),
        ("Pipfile.lock", "pipenv"),
    ],
)
def test_find_manager_goes_by_the_file(file: str, manager: str) -> None:
    assert find_manager(file) == manager


@pytest.mark.parametrize("file", ["requirements.in", "pyproject.toml", "Pipfile"])
def test_find_manager_refuses_what_pins_nothing(file: str) -> None:
    with pytest.raises(ConfigError, match=r"requirements\.production") as raised:
        find_manager(file)
    assert "uv.lock" in raised.value.cause


@pytest.mark.parametrize(("setting", "name"), [("production", "no.txt"), ("development", "dev.txt")])
def test_find_install_commands_names_the_setting_of_a_missing_file(
    tmp_path: Path, setting: str, name: str
) -> None:
    write(tmp_path, {"requirements.txt": "django==5.2\n"})
    settings = {"production": "requirements.txt"} | {setting: name}
    with pytest.raises(ConfigError, match=rf"requirements\.{setting}: there is no file .*{name}"):
        find(tmp_path, **settings)


def test_pip_installs_a_file_without_hashes_as_it_is(tmp_path: Path) -> None:
    found = find(write(tmp_path, {"requirements.txt": "django==5.2\n"}), "requirements.txt")
    assert found.files == ("requirements.txt",)
    assert found.tools == found.development == found.packages == ()
    venv, install, _ = found.production
    assert venv == "python -m venv --without-pip /venv"
    assert install == f"{PIP} -r /build/requirements.txt"


def test_pip_checks_hashes_where_there_are_some(tmp_path: Path) -> None:
    files = {"web/prod.txt": "-r base.txt\n", "web/base.txt": "django==5.2 --hash=sha256:00\n"}
    found = find(write(tmp_path, files), "web/prod.txt")
    assert found.files == ("web/prod.txt", "web/base.txt")
    assert found.production[1] == f"{PIP} --require-hashes -r /build/web/prod.txt"


@pytest.mark.parametrize("production", ["requirements.txt", "uv.lock"])
def test_setuptools_is_added_with_its_hash_where_nothing_installed_it(
    tmp_path: Path, production: str
) -> None:
    write(tmp_path, {"requirements.txt": "django==5.2\n", "uv.lock": UV_LOCK, "pyproject.toml": ""})
    added = find(tmp_path, production).production[-1]
    assert added.startswith("if ! /venv/bin/python -c 'import setuptools'")
    assert "setuptools==80.10.2 --hash=sha256:" in added


def test_pip_takes_what_is_included_once_and_development_after_it(tmp_path: Path) -> None:
    files = {
        "requirements/base.txt": "-c ../constraints.txt\ndjango\n",
        "requirements/prod.txt": "-r base.txt\ngunicorn==25\n",
        "requirements/local.txt": "-r base.txt\npytest==9\n",
        "constraints.txt": "django==5.2\n",
    }
    found = find(write(tmp_path, files), "requirements/prod.txt", "requirements/local.txt")
    assert found.files == ("requirements/prod.txt", "requirements/base.txt", "constraints.txt")
    assert found.development_files == ("requirements/local.txt",)
    assert found.development == (f"{PIP} -r /build/requirements/local.txt",)


def test_pip_takes_folders_of_the_repository_from_where_they_are(tmp_path: Path) -> None:
    files = {
        "web/requirements.txt": "-e ../libs/own\nother @ git+https://git.example/other@abc\n",
        "libs/own/pyproject.toml": "",
    }
    found = find(write(tmp_path, files), "web/requirements.txt")
    assert found.files == ("web/requirements.txt", "libs/own")
    assert found.packages == ("git",)
    assert found.production[1] == f"(mkdir -p web && cd web && {PIP} -r /build/web/requirements.txt)"


def test_pip_names_the_line_of_a_missing_folder(tmp_path: Path) -> None:
    write(tmp_path, {"web/requirements.txt": "django\n\n-e ./own\n"})
    with pytest.raises(ConfigError, match=r"web/requirements\.txt:3: there is no \./own"):
        find(tmp_path, "web/requirements.txt")


def test_pip_takes_nothing_from_outside_of_the_repository(tmp_path: Path) -> None:
    write(tmp_path, {"site/requirements.txt": "-r ../other.txt\n", "other.txt": "django\n"})
    with pytest.raises(ConfigError, match="not in the repository"):
        find(tmp_path / "site", "requirements.txt")


UV_LOCK = """version = 1
[[package]]
name = "site"
source = { virtual = "." }
[[package]]
name = "django"
source = { registry = "https://index.example/simple" }
"""


def test_uv_writes_its_lock_out_without_a_network(tmp_path: Path) -> None:
    write(tmp_path, {"web/uv.lock": UV_LOCK, "web/pyproject.toml": '[tool.uv]\nrequired-version = ">=0.7"\n'})
    found = find(tmp_path, "web/uv.lock", groups=("prod",), extras=("s3",))
    assert (found.tool_files, found.files) == (("web/uv.lock", "web/pyproject.toml"), ())
    _, install, production, development, _ = found.tools
    assert install.endswith(" 'uv>=0.7'")
    assert production.startswith("(cd web && /tools/bin/uv export --frozen --offline ")
    assert "--extra s3 --no-default-groups --group prod > /build/haybale-production.txt" in production
    assert "--extra s3 --all-groups > /build/haybale-development.txt" in development
    assert "--no-hashes" not in production + development
    install_from = f"(mkdir -p web && cd web && {PIP} --require-hashes --no-deps -r /build/haybale-"
    assert found.production[1] == f"{install_from}production.txt)"
    assert found.development == (f"{install_from}development.txt)",)


def test_uv_takes_a_workspace_s_packages_and_repositories_without_hashes(tmp_path: Path) -> None:
    lock = UV_LOCK + (
        '[[package]]\nname = "web"\nsource = { virtual = "apps/web" }\n'
        '[[package]]\nname = "own"\nsource = { editable = "libs/own" }\n'
        '[[package]]\nname = "fork"\nsource = { git = "https://git.example/fork?rev=1#abc" }\n'
    )
    write(tmp_path, {"uv.lock": lock, "pyproject.toml": "", "libs/own/pyproject.toml": ""})
    found = find(tmp_path, "uv.lock", package="web")
    assert found.tool_files == ("uv.lock", "pyproject.toml", "apps/web/pyproject.toml", "libs/own")
    assert found.files == ("libs/own",)
    assert found.packages == ("git",)
    assert "--package web --no-hashes" in found.tools[2]
    assert "--require-hashes" not in found.production[1]


def test_uv_refuses_a_package_that_its_lock_does_not_have(tmp_path: Path) -> None:
    write(tmp_path, {"uv.lock": UV_LOCK, "pyproject.toml": ""})
    with pytest.raises(ConfigError, match=r"requirements\.package: .* no package 'django'"):
        find(tmp_path, "uv.lock", package="django")


@pytest.mark.parametrize(
    ("uv", "emits", "drops"),
    [
        ("", False, True),
        ('[[tool.uv.index]]\nurl = "https://own.example"\n', True, True),
        ('[[tool.uv.index]]\nurl = "https://own.example"\ndefault = true\n', True, False),
        ('[tool.uv]\nindex-url = "https://own.example"\n', True, False),
    ],
)
def test_uv_names_the_repository_s_index_and_never_the_public_one(
    tmp_path: Path, uv: str, *, emits: bool, drops: bool
) -> None:
    write(tmp_path, {"uv.lock": UV_LOCK, "pyproject.toml": uv})
    tools = find(tmp_path, "uv.lock").tools
    assert ("--emit-index-url" in tools[2]) == emits
    assert ("/^--index-url /d" in tools[-1]) == drops


def test_poetry_names_the_groups_that_development_has(tmp_path: Path) -> None:
    project = (
        '[tool.poetry]\nrequires-poetry = ">=1.8"\n[tool.poetry.dev-dependencies]\n'
        "[tool.poetry.group.docs.dependencies]\n[dependency-groups]\ntest = []\n"
    )
    write(tmp_path, {"poetry.lock": "package = []\n", "pyproject.toml": project})
    found = find(tmp_path, "poetry.lock", extras=("s3",))
    _, install, production, development, _ = found.tools
    assert install.endswith(" 'poetry>=1.8' poetry-plugin-export")
    assert production.endswith(" --extras s3 --output /build/haybale-production.txt")
    assert "--with docs,test,dev --output /build/haybale-development.txt" in development


def test_poetry_takes_folders_and_repositories_without_hashes(tmp_path: Path) -> None:
    lock = (
        '[[package]]\nname = "own"\n[package.source]\ntype = "directory"\nurl = "libs/own"\n'
        '[[package]]\nname = "fork"\n[package.source]\ntype = "git"\nurl = "https://git.example/fork"\n'
    )
    write(tmp_path, {"poetry.lock": lock, "pyproject.toml": "", "libs/own/pyproject.toml": ""})
    found = find(tmp_path, "poetry.lock")
    assert found.tool_files == ("poetry.lock", "pyproject.toml", "libs/own")
    assert found.files == ("libs/own",)
    assert "--without-hashes" in found.tools[2]
    assert found.packages == ("git",)


def test_pdm_leaves_development_out_of_production(tmp_path: Path) -> None:
    write(tmp_path, {"pdm.lock": "package = []\n", "pyproject.toml": ""})
    plain = find(tmp_path, "pdm.lock")
    assert " --production --output " in plain.tools[2]
    assert "--production" not in plain.tools[3]


def test_pipenv_drops_the_public_index_and_keeps_another(tmp_path: Path) -> None:
    lock: dict[str, object] = {"_meta": {"sources": [{"name": "pypi"}]}, "default": {"django": {}}}
    write(tmp_path, {"Pipfile.lock": json.dumps(lock), "Pipfile": ""})
    found = find(tmp_path, "Pipfile.lock")
    assert (found.tool_files, found.files) == (("Pipfile.lock", "Pipfile"), ())
    assert found.tools[2] == (
        "/tools/bin/pipenv requirements --hash --exclude-index > /build/haybale-production.txt"
    )
    assert "--dev >" in found.tools[3]
    lock["_meta"] = {"sources": [{"name": "pypi"}, {"name": "own"}]}
    write(tmp_path, {"Pipfile.lock": json.dumps(lock)})
    assert "--exclude-index" not in find(tmp_path, "Pipfile.lock").tools[2]


@pytest.mark.parametrize("name", ["uv.lock", "Pipfile.lock"])
def test_find_install_commands_names_a_damaged_lock(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: "<<<<<<< HEAD\n", "pyproject.toml": "", "Pipfile": ""})
    with pytest.raises(ConfigError, match=name):
        find(tmp_path, name)


def test_instructions_mount_secrets_and_keep_names_whole() -> None:
    assert copy_instruction(["a b.txt", "libs/own"]) == (
        'COPY ["a b.txt", "/build/a b.txt"]\nCOPY ["libs/own", "/build/libs/own"]'
    )
    text = run_instruction(["first", "second"])
    assert text.startswith("RUN --mount=type=secret,id=ca,required=false \\\n")
    assert "id=pip,required=false" in text
    assert text.endswith("cd /build \\\n && first \\\n && second")


def test_what_has_no_wheel_is_built_with_what_is_pinned_alone(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==1 --hash=sha256:1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"requirements\.build: there is no file"):
        find_install_commands(tmp_path, RequirementsSettings(build="build.txt"))
    (tmp_path / "build.txt").write_text("setuptools==1 --hash=sha256:1\n", encoding="utf-8")
    found = find_install_commands(tmp_path, RequirementsSettings(build="build.txt"))
    assert found.files == ("requirements.txt", "build.txt")
    tools, wheels, installed = found.production[1].split(" \\\n && ")
    assert "--require-hashes --only-binary :all:" in tools
    assert "-r /build/build.txt" in tools
    assert " wheel " in wheels
    assert "--no-build-isolation" in wheels
    assert "--require-hashes -r /build/requirements.txt" in wheels
    assert installed.startswith(f"{PIP} --no-index --no-deps ")
