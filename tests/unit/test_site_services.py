"""What the settings say of the site's containers becomes a compose file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from haybale import config
from haybale.config import PLACEHOLDERS, DatabaseSettings, SiteSettings
from haybale.dump.postgresql import PostgreSQL
from haybale.dump.recognition import DATABASES
from haybale.errors import ConfigError
from haybale.images.site_services import Facts, ci_services, expand, index_services, site_environment
from haybale.images.stack import DATABASE_FILE, FILES, SERVICES

if TYPE_CHECKING:
    from pathlib import Path

TABLE = '[tool.haybale]\nname = "site"\nregistry = "localhost:5000/site"\ncore = "pages"\n'
POSTGRESQL = Facts(database_url="postgresql://site:only-here@postgres:5432/site", core="pages")
SQLITE = Facts(database_url="sqlite:////data/db.sqlite3", core="pages")


def project(folder: Path, more: str = "") -> config.Project:
    (folder / "pyproject.toml").write_text(TABLE + more, encoding="utf-8")
    return config.load(folder, {})


@pytest.mark.parametrize("url", [each.url(DatabaseSettings()) for each in DATABASES])
def test_placeholders_are_those_of_the_settings_for_every_database(url: str) -> None:
    found = Facts(database_url=url, core="pages").placeholders(SiteSettings())
    assert tuple(found) == PLACEHOLDERS


def test_placeholders_are_the_parts_of_the_database_s_url() -> None:
    found = POSTGRESQL.placeholders(SiteSettings())
    parts = ("engine", "host", "port", "name", "user", "password")
    assert [found[f"database_{part}"] for part in parts] == [
        "django.db.backends.postgresql", "postgres", "5432", "site", "site", "only-here",
    ]  # fmt: skip
    assert SQLITE.placeholders(SiteSettings())["database_name"] == "/data/db.sqlite3"


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("{solr_url}", "http://solr:8983/solr/pages"),
        ("a{core}b{core}", "apagesbpages"),
        ("{{core}}", "{core}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{site_url}/x", "http://web:8001/x"),
        ("{unknown} $HOME", "{unknown} $HOME"),
    ],
)
def test_expand(value: str, expanded: str) -> None:
    assert expand(value, SQLITE.placeholders(SiteSettings(port=8001))) == expanded


def test_site_environment_goes_from_the_weakest_to_the_strongest(tmp_path: Path) -> None:
    (tmp_path / "site.env").write_text(
        "# words\n\nexport A=file\nB=file\nC='a b'\nD=\"x=y\"\nSECRET_KEY=file\n", encoding="utf-8"
    )
    made = project(
        tmp_path,
        '[tool.haybale.site]\nsettings = "site.settings"\nenvironment_files = ["site.env"]\n'
        'environment = {B = "table", E = "table"}\n'
        'index = {settings = "site.index", environment = {E = "step"}}\n',
    )
    found = site_environment(made, made.settings.site.index)
    assert {name: found[name] for name in "ABCDE"} == {
        "A": "file", "B": "table", "C": "a b", "D": "x=y", "E": "step",
    }  # fmt: skip
    assert (found["SECRET_KEY"], found["DATABASE_URL"]) == ("file", "{database_url}")
    assert found["DJANGO_SETTINGS_MODULE"] == "site.index"
    assert site_environment(made, made.settings.site.release)["DJANGO_SETTINGS_MODULE"] == "site.settings"


@pytest.mark.parametrize(
    ("content", "message"),
    [("A=1\nnot a variable\n", r"site\.env:2: this is no variable"), (None, r"site\.env cannot be read")],
)
def test_site_environment_names_file_and_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content:
        (tmp_path / "site.env").write_text(content, encoding="utf-8")
    made = project(tmp_path, 'site.environment_files = ["site.env"]\n')
    with pytest.raises(ConfigError, match=message):
        site_environment(made, made.settings.site.index)


def test_index_services_have_variables_as_compose_takes_them_literally(tmp_path: Path) -> None:
    made = project(tmp_path, 'site.environment = {KEY = "a$b", URL = "{solr_url}"}\nsite.workdir = "/code"\n')
    services = index_services(made, SQLITE, {})["services"]
    assert set(services) == {"database", "loader"}
    for service in services.values():
        assert service["environment"]["KEY"] == "a$$b"
        assert service["environment"]["URL"] == "http://solr:8983/solr/pages"
        assert service["working_dir"] == "/code"
        assert "user" not in service


def test_index_services_have_secrets_from_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from $file\n", encoding="utf-8")
    made = project(tmp_path, 'site.secrets = {A = "variable:OURS", B = "file:key"}\n')
    found = index_services(made, SQLITE, {"OURS": "from variable"})["services"]["loader"]["environment"]
    assert (found["A"], found["B"]) == ("from variable", "from $$file")
    with pytest.raises(ConfigError, match=r"site\.secrets\.A: there is no variable OURS"):
        index_services(made, SQLITE, {})


def test_services_run_the_commands_of_the_database_before_the_fixtures(tmp_path: Path) -> None:
    made = project(tmp_path, 'database.commands = ["migrate --noinput", "setup \'a b\' $x"]\n')
    shell, option, script = index_services(made, SQLITE, {})["services"]["database"]["command"]
    assert (shell, option) == ("sh", "-c")
    lines = script.splitlines()
    assert lines[-3:-1] == ["without_index migrate --noinput", "without_index setup 'a b' '$$x'"]
    assert "loaddata" in lines[-1]


def test_ci_services_ask_the_site_as_the_settings_say(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        '[tool.haybale.site]\nport = 8080\nhealth = "/up"\nhealth_status = 204\n'
        'command = ["serve", "$PORT"]\nhealth_headers = {Host = "example.org"}\nuser = "www-data"\n',
    )
    web = ci_services(made, POSTGRESQL, {})["services"]["web"]
    assert json.loads(web["healthcheck"]["test"][-1]) == [8080, "/up", 204, {"Host": "example.org"}]
    assert web["ports"] == ["127.0.0.1:${WEB_PORT:-}:8080"]
    assert (web["command"], web["user"]) == (["serve", "$$PORT"], "www-data")


def test_services_mount_files_of_the_repository_in_every_container_of_the_site(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        'site.mounts = ["local.example.py:/app/local.py"]\n'
        '[tool.haybale.test.suites.a]\ncommand = ["x"]\nmounts = ["a:/a"]\n',
    )
    services = {**index_services(made, SQLITE, {})["services"], **ci_services(made, SQLITE, {})["services"]}
    site = (f"{tmp_path}/local.example.py", "/app/local.py")
    mounted = {
        name: [(each["source"], each["target"]) for each in service["volumes"]]
        for name, service in services.items()
    }
    assert mounted == {
        "database": [site], "loader": [site], "web": [site], "tester": [site, (f"{tmp_path}/a", "/a")],
    }  # fmt: skip
    assert all(each["read_only"] for service in services.values() for each in service["volumes"])


def test_placeholders_are_the_database_s_settings_whatever_is_in_them() -> None:
    parts = {"name": "my site", "user": "o'brien@example", "password": "a:b/c?#%"}
    settings = DatabaseSettings(name=parts["name"], user=parts["user"], password=parts["password"])
    url = PostgreSQL().url(settings)
    found = Facts(database_url=url, core="pages").placeholders(SiteSettings())
    assert {part: found[f"database_{part}"] for part in parts} == parts
    assert (found["database_host"], found["database_port"]) == ("postgres", "5432")


def test_services_are_called_as_the_site_has_them_written_in(tmp_path: Path) -> None:
    made = project(tmp_path, 'site.aliases = {db = "database", search = "solr", solr = "solr"}\n')
    for services in (index_services(made, POSTGRESQL, {}), ci_services(made, POSTGRESQL, {})):
        found = services["services"]
        assert found["postgres"] == {"networks": {"database": {"aliases": ["db"]}}}
        assert found["solr"] == {"networks": {"search": {"aliases": ["search"]}}}
        assert not any("entrypoint" in each or "extra_hosts" in each for each in found.values())


def test_services_with_further_names_are_on_no_further_network(tmp_path: Path) -> None:
    made = project(tmp_path, 'site.aliases = {db = "database", search = "solr"}\n')
    files = (SERVICES / name for name in (DATABASE_FILE, FILES["solr"]))
    own = {
        name: service
        for file in files
        for name, service in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].items()
    }
    for name in ("postgres", "solr"):
        named = index_services(made, POSTGRESQL, {})["services"][name]
        assert [*named["networks"]] == own[name]["networks"]


def test_services_have_no_further_names_by_default(tmp_path: Path) -> None:
    assert {*index_services(project(tmp_path), SQLITE, {})["services"]} == {"database", "loader"}


def test_site_s_containers_listen_where_the_site_has_itself_written_in(tmp_path: Path) -> None:
    made = project(tmp_path, 'site.aliases = {localhost = "solr", "db:6432" = "database"}\n')
    facts = Facts(database_url=POSTGRESQL.database_url, core="pages", entrypoint=("/start",), command=("$x",))
    ci, index = ci_services(made, facts, {})["services"], index_services(made, facts, {})["services"]
    ran_first = ci["web"]["entrypoint"][:-1]
    python, option, program, addresses = ran_first
    assert (python, option) == ("python", "-c")
    assert "$" not in program.replace("$$", "")
    assert json.loads(addresses) == {"8983": ["solr.haybale", 8983], "6432": ["postgres.haybale", 5432]}
    assert (ci["web"]["entrypoint"][-1], ci["web"]["command"]) == ("/start", ["$$x"])
    for waiting in (ci["tester"], index["loader"]):
        assert waiting["entrypoint"] == [*ran_first, "sleep", "infinity"]
    for database in (ci["database"], index["database"]):
        assert database["command"][:5] == [*ran_first, "sh"]
    for service in (ci["web"], ci["tester"], ci["database"], index["loader"], index["database"]):
        assert service["extra_hosts"] == {"db": "127.0.0.1"}
    for services in (ci, index):
        assert services["solr"]["networks"]["search"]["aliases"] == ["solr.haybale"]
        assert services["postgres"]["networks"]["database"]["aliases"] == ["postgres.haybale"]


def test_site_s_own_command_is_what_starts_it_where_it_listens_for_services(tmp_path: Path) -> None:
    made = project(tmp_path, 'site = {aliases = {localhost = "solr"}, command = ["serve"]}\n')
    facts = Facts(database_url=SQLITE.database_url, core="pages", entrypoint=("/start",), command=("x",))
    web = ci_services(made, facts, {})["services"]["web"]
    assert (web["entrypoint"][-1], web["command"]) == ("/start", ["serve"])


def test_ci_services_mount_what_the_suites_see(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        '[tool.haybale.test.suites]\na = {command = ["x"], mounts = ["tests:/tests", "a:/a"]}\n'
        'b = {command = ["x"], mounts = ["tests:/tests"]}\n'
        'c = {command = ["x"], where = "web", mounts = ["c:/c"]}\n'
        'd = {command = ["x"], where = "host"}\n',
    )
    services = ci_services(made, SQLITE, {})["services"]
    mounted = {
        name: [(each["source"], each["target"]) for each in services[name]["volumes"]]
        for name in ("web", "tester")
    }
    assert mounted == {
        "web": [(f"{tmp_path}/c", "/c")],
        "tester": [(f"{tmp_path}/tests", "/tests"), (f"{tmp_path}/a", "/a")],
    }
