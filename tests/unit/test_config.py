from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from pathlib import Path

import pytest

from haybale import config, errors
from haybale.errors import ConfigError

SMALLEST = '[tool.haybale]\nname = "site"\nregistry = "localhost:5000/site"\ncore = "site"\n'


def load(folder: Path, text: str, **env: str) -> config.Project:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return config.load(folder, env)


def test_load_fills_in_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, SMALLEST).settings
    assert settings.images.solr == "solr:9.10.1-slim"
    assert settings.index.batch == 0
    assert settings.test.suites == {}
    assert settings.site.health_headers == {"Host": "localhost"}


@pytest.mark.parametrize(
    ("lines", "cores", "folders"),
    [
        ('core = "site"\n', ("site",), ()),
        ("", (), ()),
        ('core = ["de", "Site.en"]\n', ("de", "Site.en"), ()),
        ('core = ["de", "en"]\nsolr_conf = "a"\n', ("de", "en"), ("a",)),
        ('core = ["de", "en"]\nsolr_conf = {de = "a", en = "b"}\n', ("de", "en"), ("a", "b")),
        ('core = ["de", "en"]\n[tool.haybale.solr_conf]\nde = "a"\nen = "a"\n', ("de", "en"), ("a",)),
    ],
)
def test_load_takes_one_core_or_several(
    tmp_path: Path, lines: str, cores: tuple[str, ...], folders: tuple[str, ...]
) -> None:
    settings = load(tmp_path, SMALLEST.replace('core = "site"\n', lines)).settings
    assert (settings.cores, settings.solr_conf_folders) == (cores, folders)


def test_load_finds_the_repository_from_within_it(tmp_path: Path) -> None:
    load(tmp_path, SMALLEST)
    inner = tmp_path / "web" / "app"
    inner.mkdir(parents=True)
    (tmp_path / "web" / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")
    project = config.load(inner, {})
    assert project.root == tmp_path
    assert project.path("a/b") == tmp_path / "a/b"
    assert project.scratch == tmp_path / ".haybale"


def test_load_takes_the_environment_before_the_file(tmp_path: Path) -> None:
    text = SMALLEST + '[tool.haybale.images]\nsolr = "solr:9"\n'
    settings = load(tmp_path, text, REGISTRY="r.example/x", SOLR_IMAGE="solr:8", PYTHON_IMAGE="").settings
    assert (settings.registry, settings.images.solr) == ("r.example/x", "solr:8")
    assert settings.images.python == "python:3.13-slim"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (SMALLEST + "batch_size = 3\n", 5, "unknown setting 'batch_size'"),
        (SMALLEST + 'dumps = "x"\n', 5, "did you mean 'dump'?"),
        (SMALLEST + '[tool.haybale.images]\n# why\npyhton = "x"\n', 7, "did you mean 'python'?"),
        (SMALLEST + "[tool.haybale.index]\nbatch = -1\n", 6, "index.batch is at least 0, not -1"),
        (SMALLEST + '[tool.haybale.index]\nbatch = "many"\n', 6, "index.batch is a whole number"),
        (SMALLEST + "[tool.haybale.index]\nbatch = true\n", 6, "index.batch is a whole number"),
        (SMALLEST + '[tool.haybale.index]\nheap = "lots"\n', 6, "index.heap has the form"),
        (SMALLEST + '[tool.haybale.build]\nsbom = "yes"\n', 6, "build.sbom is true or false"),
        (SMALLEST + 'test.suites.a.command = "pytest"\n', 5, "test.suites.a.command is a list of strings"),
        (SMALLEST + '[tool.haybale.test.suites.a]\nwhere = "web"\n', 5, "the setting 'command' is missing"),
        (SMALLEST + "[tool.haybale.test.suites.A]\ncommand = []\n", 5, "test.suites has 'A'"),
        (SMALLEST + '[[tool.haybale.test.pages]]\npath = "search"\n', 6, "test.pages.0.path is a path"),
        (
            SMALLEST + '[[tool.haybale.test.pages]]\npath = "/a"\n[[tool.haybale.test.pages]]\nstatus = 1\n',
            7,
            "the setting 'path' is missing",
        ),
        (SMALLEST + "[tool.haybale.hooks.regensolr]\nbefore = []\n", 5, "hooks has 'regensolr'"),
        (SMALLEST + 'hooks.runTests.after = ["a", "b \'c"]\n', 5, "is a command (no closing quotation)"),
        (SMALLEST + 'hooks.runTests.after = ["  "]\n', 5, "hooks.runTests.after is a command, not"),
        (SMALLEST + "test.pages = 3\n", 5, "test.pages is an array of tables"),
        (SMALLEST + '[tool.haybale.site]\nhealth = "up"\n', 6, "site.health is a path, from /, not 'up'"),
        (SMALLEST + "site.health_status = true\n", 5, "site.health_status is a whole number"),
        (SMALLEST + 'site = "web"\n', 5, "site is a table, not 'web'"),
        (SMALLEST + "[tool.haybale.site.environment]\nDEBUG = true\n", 6, "DEBUG is a string in quotes"),
        (
            SMALLEST + '[tool.haybale.site.environment]\nDB = "{databse_url}"\n',
            6,
            "site.environment.DB has no {databse_url} (did you mean {database_url}?",
        ),
        (SMALLEST + 'site.secrets = {KEY = "x"}\n', 5, "site.secrets.KEY is variable:NAME or file:PATH"),
        (SMALLEST + 'test.suites.a = {command = ["x"], mounts = ["x"]}\n', 5, "mounts is PATH:/PATH"),
        (SMALLEST + "images = 3\n", 5, "images is a table"),
        (SMALLEST.replace('"site"\nregistry', '"My Site"\nregistry'), 2, "name has the form"),
        (SMALLEST.replace("localhost:5000/site", "http://r/site"), 3, "registry is an image's name"),
        (SMALLEST.replace('name = "site"\n', ""), 1, "the setting 'name' is missing"),
        (
            SMALLEST.replace('"site"\n', "3\n").replace("name = 3", 'name = "s"'),
            4,
            "core is a string in quotes",
        ),
        (SMALLEST.replace('core = "site"', "core = []"), 4, "or a list of such"),
        (SMALLEST.replace('core = "site"', 'core = ["de", "a b"]'), 4, "core has the form"),
        (SMALLEST.replace('core = "site"', 'core = ["de", "de"]'), 4, "core has each name once"),
        (SMALLEST + "solr_conf = {}\n", 5, "or a table of such"),
        (SMALLEST + 'solr_conf = {site = "a", other = "b"}\n', 5, "'other': there is not it in `core`"),
        (SMALLEST + 'solr_conf = {other = "b"}\n', 5, "'site': there is not a folder for it"),
        ("# hello\n\n" + SMALLEST + "index.bach = 3\n", 7, "did you mean 'batch'?"),
        (SMALLEST + 'images.python = "python:3"\nimages.solr = 3\n', 6, "images.solr is a string"),
        (SMALLEST + "images = {python = 3}\n", 5, "images.python is a string"),
        (SMALLEST + '[[tool.haybale.images]]\npython = "python:3"\n', 5, "images is a table"),
        (SMALLEST.replace("[tool.haybale]", "[ tool . 'haybale' ]") + "a = 1\n", 5, "unknown setting 'a'"),
        (
            '[tool]\nhaybale.name = "s"\nhaybale.registry = "r/s"\nhaybale.core = "s"\nhaybale.a = 1\n',
            5,
            "unknown setting 'a'",
        ),
        ('[a]\nb = """\n[tool.haybale]\nname = 3\n"""\n' + SMALLEST + "a = 1\n", 10, "unknown setting 'a'"),
        (SMALLEST + '[tool.haybale.site]\ncommand = [\n  ["a"],\n]\nport = "x"\n', 9, "site.port is a whole"),
        (SMALLEST + '[tool.haybale.site]\ncommand = [\n  "a",\n  3,\n]\n', 6, "site.command is a list"),
        ("[[a]]\n[a.b]\n[[a]]\n" + SMALLEST + "a = 1\n", 8, "unknown setting 'a'"),
        ("[tool.haybale.index]\nbatch = 1\n" + SMALLEST + "batch = 1\n", 7, "unknown setting 'batch'"),
        ("# \u2028 \n" + SMALLEST + "a = 1\n", 6, "unknown setting 'a'"),
        ((SMALLEST + "a = 1\n").replace("\n", "\r\n"), 5, "unknown setting 'a'"),
    ],
)
def test_load_names_file_and_line_of_a_wrong_setting(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text)
    assert f"{tmp_path}/pyproject.toml:{line}: " in raised.value.message
    assert words in raised.value.message


@pytest.mark.parametrize(
    "line",
    [
        'site.secrets = {KEY = "c4n4ry"}',
        'site.secrets = "c4n4ry"',
        'site.secrets = ["c4n4ry"]',
        'site.secrets = {KEY = ["c4n4ry"]}',
        'site = [{secrets = {KEY = "c4n4ry"}}]',
        'flux.url = "ftp://ada:c4n4ry@forge.example/site.git"',
        'flux = "https://ada:c4n4ry@forge.example/site.git"',
    ],
)
def test_load_shows_no_secret_that_stands_in_the_file(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"pyproject\.toml:5: (site|flux)") as raised:
        load(tmp_path, f"{SMALLEST}{line}\n")
    assert "c4n4ry" not in raised.value.message


@pytest.mark.parametrize(("python", "right"), [("3.13", True), ("3.9.2", True), ("3", False), ("2.7", False)])
def test_load_takes_a_python_by_its_version(tmp_path: Path, python: str, right: bool) -> None:
    text = SMALLEST + f'[tool.haybale.requirements]\npython = "{python}"\n'
    if right:
        assert load(tmp_path, text).settings.requirements.python == python
    else:
        with pytest.raises(ConfigError, match=r":6: requirements\.python has the form"):
            load(tmp_path, text)


def test_load_names_every_wrong_setting_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, SMALLEST + "a = 1\nb = 2\n")
    assert len(raised.value.message.splitlines()) == 2


def test_load_names_a_wrong_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment variable REGISTRY: registry is an image's name"):
        load(tmp_path, SMALLEST, REGISTRY="no good")


@pytest.mark.parametrize(
    "name", ["site", "my_org/site", "localhost:5000/a", "r.example/a--b/c", "Host.example/a"]
)
def test_load_accepts_a_registry_that_docker_accepts(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, SMALLEST, REGISTRY=name).settings.registry == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("r/a_-b", "between slashes"),
        ("a/b/", "between slashes"),
        ("http://r.example/a", "not a domain"),
        ("r.example:5000/a:tag", "without tag"),
        ("a@sha256:" + "0" * 64, "without tag and digest"),
    ],
)
def test_load_refuses_a_registry_that_docker_refuses(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load(tmp_path, SMALLEST, REGISTRY=name)


def test_load_accepts_a_pinned_base_image_but_nothing_that_is_no_image(tmp_path: Path) -> None:
    pinned = "r.example:5000/solr:9.10.1-slim@sha256:" + "0" * 64
    assert load(tmp_path, SMALLEST, SOLR_IMAGE=pinned).settings.images.solr == pinned
    with pytest.raises(
        ConfigError, match=r"variable PYTHON_IMAGE: images\.python is an image's name \(.* not a tag"
    ):
        load(tmp_path, SMALLEST, PYTHON_IMAGE="python:3.13 slim")


def test_load_names_the_place_in_a_file_that_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pyproject\.toml: .*line 1"):
        load(tmp_path, "[tool.haybale\n")


def test_load_names_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.haybale]\nname = '\xff'\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: .*can't decode"):
        config.load(tmp_path, {})


@pytest.mark.parametrize("images", ['images = "python:3"\n', '[[tool.haybale.images]]\nsolr = "solr:9"\n'])
def test_load_names_what_is_no_table_though_a_variable_overrides_it(tmp_path: Path, images: str) -> None:
    with pytest.raises(ConfigError, match=r":5: images is a table"):
        load(tmp_path, SMALLEST + images, PYTHON_IMAGE="python:3")


@pytest.mark.parametrize("text", ["tool = 3\n", "[tool]\nhaybale = 3\n"])
def test_load_ignores_a_tool_haybale_that_is_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"no pyproject\.toml with a"):
        load(tmp_path, text)


def test_load_outside_of_a_repository_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no pyproject\.toml with a"):
        config.load(tmp_path, {})


def every_setting(kind: type = config.Settings, table: str = "tool.haybale") -> list[tuple[str, str, str]]:
    """Return (table, setting, default as the page shows it) of every setting."""
    found = []
    types = typing.get_type_hints(kind)
    for each in dataclasses.fields(kind):
        type_ = types[each.name]
        if dataclasses.is_dataclass(type_):
            found += every_setting(typing.cast("type", type_), f"{table}.{each.name}")
            continue
        if "description" not in each.metadata:
            inner = next(part for part in typing.get_args(type_) if dataclasses.is_dataclass(part))
            name = "" if typing.get_origin(type_) is tuple else ".NAME"
            found += every_setting(typing.cast("type", inner), f"{table}.{each.name}{name}")
            continue
        default = config.default_of(each)
        match default:
            case bool() | int():
                shown = f"`{str(default).lower()}`"
            case str():
                shown = f'`"{default}"`'
            case None:
                shown = "none"
            case tuple():
                shown = "`[" + ", ".join(f'"{word}"' for word in default) + "]`"
            case Mapping():
                shown = "`{" + ", ".join(f'{name} = "{word}"' for name, word in default.items()) + "}`"
            case _:
                shown = "required"
        found.append((table, each.name, f"| `{each.name}` | {shown} | {each.metadata['description']} |"))
    return found


@pytest.mark.parametrize(("text", "local"), [("true", True), ("1", True), ("False", False), ("no", False)])
def test_load_takes_local_from_the_environment(tmp_path: Path, text: str, local: bool) -> None:
    assert load(tmp_path, SMALLEST, HAYBALE_LOCAL=text).settings.local is local


def test_load_takes_only_yes_or_no_for_local(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="environment variable HAYBALE_LOCAL: local is true or false"):
        load(tmp_path, SMALLEST, HAYBALE_LOCAL="perhaps")


def test_load_lowercases_a_registry_from_the_environment(tmp_path: Path) -> None:
    """As the name of a repository, which CI systems put in; the file has to say it right."""
    assert load(tmp_path, SMALLEST, REGISTRY="ghcr.io/Some/Site").settings.registry == "ghcr.io/some/site"


@pytest.mark.parametrize("name", ["main", "release/1.x", "a-b_c"])
def test_load_accepts_any_branch_as_main(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, SMALLEST + f'main = "{name}"\n').settings.main == name


@pytest.mark.parametrize("name", ["", "-x", "a b", "a..b", "a~1", "a:b", "a/", "/a", "a.lock", "a@{1}", "a."])
def test_load_refuses_what_cannot_be_a_branch(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="main is the name of a branch"):
        load(tmp_path, SMALLEST + f'main = "{name}"\n')


def test_load_has_environments_by_name(tmp_path: Path) -> None:
    text = SMALLEST + '[tool.haybale.environments.dev]\n[tool.haybale.environments.eu-1]\nafter = "dev"\n'
    environments = load(tmp_path, text).settings.environments
    assert {name: each.after for name, each in environments.items()} == {"dev": None, "eu-1": "dev"}


@pytest.mark.parametrize(
    "name", ["-x", "x-", "a/b", "..", "", "\N{SNOWMAN}", "x" * 300, "HEAD", "a b", "a.b", "last", "a_b", "é"]
)
def test_load_names_the_line_of_what_cannot_be_an_environment(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"pyproject\.toml:5: environments has"):
        load(tmp_path, SMALLEST + f"[tool.haybale.environments.{json.dumps(name, ensure_ascii=False)}]\n")


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"dev": "", "prod": "stage"}, "environments.prod.after is 'stage'; known here: dev, prod"),
        ({"dev": "dev"}, "environments.dev.after leads back to it: dev after dev"),
        ({"a": "c", "b": "a", "c": "b"}, "environments.a.after leads back to it: a after c after b after a"),
    ],
)
def test_load_names_environments_out_of_order(tmp_path: Path, after: dict[str, str], words: str) -> None:
    tables = [f'[tool.haybale.environments.{name}]\nafter = "{each}"\n' for name, each in after.items()]
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, SMALLEST + "".join(tables))
    assert words in raised.value.message


def test_explain_settings_names_file_and_line_variable_or_default(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        SMALLEST + "[tool.haybale.environments.dev]\nhost = 'dev.test'\n", encoding="utf-8"
    )
    found = config.explain_settings(tmp_path, {"REGISTRY": "other.test/site"})
    shown = {each.name: (each.value, each.source) for each in found}
    line = SMALLEST.splitlines().index('core = "site"') + 1
    assert shown["core"] == ("site", f"pyproject.toml:{line}")
    assert shown["registry"] == ("other.test/site", "environment variable REGISTRY")
    assert shown["index.sample"] == (200, None)
    assert shown["environments.dev.host"] == ("dev.test", f"pyproject.toml:{len(SMALLEST.splitlines()) + 2}")
    assert shown["environments.dev.after"] == (None, None)


def test_docs_have_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
    tables = dict(part.split("]`\n", 1) for part in page.split("## `[")[1:])
    missing = [(table, name) for table, name, row in every_setting() if row not in tables[table].splitlines()]
    assert missing == []


def test_readme_has_the_exit_code_of_every_kind_of_error() -> None:
    kinds = errors.HaybaleError.__subclasses__()
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [code for code in codes if f"| {code} |" not in readme] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('"10.0.0.1" = "solr"', "a name there is HOST or HOST:PORT"),
        ('db = "postgres"', "site.aliases.db is database or solr, not 'postgres'"),
    ],
)
def test_load_names_the_line_of_an_alias_that_cannot_be(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f'{SMALLEST}[tool.haybale.site.aliases]\nsearch = "solr"\n{line}\n')
    assert "pyproject.toml:7: " in raised.value.message
    assert problem in raised.value.message


def test_load_names_aliases_that_cannot_be_had_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pyproject.toml:6: site.aliases: .* is the site's own"):
        load(tmp_path, f'{SMALLEST}[tool.haybale.site]\naliases = {{"localhost:8000" = "solr"}}\n')


@pytest.mark.parametrize("path", ["db.sqlite3", "/app/", "/app/my site.db", "/app/$x"])
def test_load_refuses_a_path_of_the_database_that_no_image_can_have(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"database.path is a file's path in the image"):
        load(tmp_path, f'{SMALLEST}[tool.haybale.database]\npath = "{path}"\n')
