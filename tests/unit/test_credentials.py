"""Whose login is used for which registry."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from haybale.errors import RegistryError
from haybale.tools.registry.credentials import Credentials, cli_environment, find_login

GITHUB = {"GITHUB_ACTOR": "ada", "GITHUB_TOKEN": "gh"}
GITLAB = {"CI_REGISTRY": "registry.example:5050", "CI_REGISTRY_USER": "job", "CI_REGISTRY_PASSWORD": "gl"}


def basic(user: str, secret: str) -> str:
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def in_variable(host: str, **entry: str) -> dict[str, str]:
    return {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: entry}})}


@pytest.mark.parametrize(
    ("host", "env", "login"),
    [
        ("ghcr.io", GITHUB, ("ada", "gh")),
        ("docker.io", GITHUB, None),
        ("registry.example:5050", GITHUB, None),
        ("ghcr.io", {"GITHUB_TOKEN": "gh"}, None),
        ("registry.example:5050", GITLAB, ("job", "gl")),
        ("registry.example", GITLAB, None),
        ("ghcr.io", GITLAB, None),
        ("ghcr.io", {}, None),
        ("ghcr.io", in_variable("ghcr.io", auth=basic("bob", "a:b")), ("bob", "a:b")),
        ("docker.io", in_variable("https://index.docker.io/v1/", username="bob", password="x"), ("bob", "x")),
        ("ghcr.io", {**GITHUB, **in_variable("ghcr.io", auth=basic("bob", "x"))}, ("bob", "x")),
        ("ghcr.io", {**GITHUB, **in_variable("other.example", auth=basic("bob", "x"))}, ("ada", "gh")),
    ],
)
def test_find_login_is_for_its_own_registry_only(
    tmp_path: Path, host: str, env: dict[str, str], login: tuple[str, str] | None
) -> None:
    found = find_login(host, {"HOME": str(tmp_path), **env})
    assert (found and (found.user, found.secret)) == login


def in_file(folder: Path, document: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder)}


def test_find_login_prefers_the_variable_then_docker_s_file_then_the_ci_system(tmp_path: Path) -> None:
    """Docker's command line and GitLab's runners have the same order."""
    variable = in_variable("ghcr.io", auth=basic("bob", "x"))
    env = in_file(tmp_path, {"auths": {"ghcr.io": {"auth": basic("own", "o")}}}) | GITHUB
    found = [
        find_login("ghcr.io", env | variable),
        find_login("ghcr.io", env),
        find_login("ghcr.io", GITHUB | {"HOME": "/none"}),
    ]
    assert [each and each.source for each in found] == [
        "DOCKER_AUTH_CONFIG", str(tmp_path / "config.json"), "GITHUB_TOKEN",
    ]  # fmt: skip


def test_cli_environment_is_empty_where_docker_s_file_has_the_login(tmp_path: Path) -> None:
    env = in_file(tmp_path, {"auths": {"ghcr.io": {"auth": basic("own", "o")}}}) | GITHUB
    with cli_environment("ghcr.io", env) as more:
        assert more == {}


@pytest.mark.parametrize(
    ("host", "address", "entry", "login"),
    [
        ("r.example", "r.example", {"auth": basic("bob", "a:b")}, ("bob", "a:b", "")),
        ("r.example", "r.example", {"username": "bob", "password": "x"}, ("bob", "x", "")),
        ("r.example", "https://r.example/v2/", {"auth": basic("bob", "x")}, ("bob", "x", "")),
        ("r.example:5000", "https://r.example:5000", {"auth": basic("bob", "x")}, ("bob", "x", "")),
        ("docker.io", "https://index.docker.io/v1/", {"auth": basic("bob", "x")}, ("bob", "x", "")),
        ("r.example", "r.example", {"auth": basic("bob", ""), "identitytoken": "1d"}, ("bob", "", "1d")),
        ("r.example", "r.example", {"auth": basic("bob", "x\0\0")}, ("bob", "x", "")),
        ("r.example", "r.example", {}, None),
        ("r.example", "r.example", {"email": "bob@example.org"}, None),
        ("r.example", "r.example:5000", {"auth": basic("bob", "x")}, None),
        ("r.example", "other.example/r.example", {"auth": basic("bob", "x")}, None),
    ],
)
def test_find_login_reads_docker_s_file_as_docker_does(
    tmp_path: Path, host: str, address: str, entry: dict[str, str], login: tuple[str, str, str] | None
) -> None:
    found = find_login(host, in_file(tmp_path, {"auths": {address: entry}}))
    assert (found and (found.user, found.secret, found.identity_token)) == login


# Made with github.com/docker/cli v29.9.3: a program writes `config` to a folder's config.json, and prints
# what config.Load(folder) and GetAuthConfig(host) of cli/config give: user, password and identity token; or
# an error.
TABLE = Path(__file__).with_name("data").joinpath("docker_logins.jsonl")


@pytest.mark.parametrize("case", [json.loads(line) for line in TABLE.read_text("utf-8").splitlines()])
def test_find_login_answers_as_docker_s_own_package(tmp_path: Path, case: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(case["config"], encoding="utf-8")
    env = {"DOCKER_CONFIG": str(tmp_path)}
    if case["error"]:
        with pytest.raises(RegistryError):
            find_login(case["host"], env)
    else:
        found = find_login(case["host"], env)
        assert (found and [found.user, found.secret, found.identity_token]) == case["login"]


@pytest.mark.parametrize("text", ["", " \n", "null"])
def test_find_login_takes_an_empty_variable_for_none(tmp_path: Path, text: str) -> None:
    assert find_login("ghcr.io", {"HOME": str(tmp_path), "DOCKER_AUTH_CONFIG": text}) is None


@pytest.mark.parametrize("document", [{}, {"auths": None}, {"auths": {}, "credHelpers": {"r.example": ""}}])
def test_find_login_is_none_for_a_configuration_without_logins(tmp_path: Path, document: object) -> None:
    assert find_login("r.example", in_file(tmp_path, document)) is None


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"auths": []}', '{"auths": {"r.example": "s3cret"}}', '{"credHelpers": ["s3cret"]}']
    + [
        json.dumps({"auths": {"r.example": {"auth": auth}}})
        for auth in ("s3cret", "czNjcmV0", "OnMzY3JldA==")
    ],
)
def test_find_login_names_an_unreadable_file_without_its_content(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"config\.json cannot be read") as refused:
        find_login("r.example", {"DOCKER_CONFIG": str(tmp_path)})
    assert "s3cret" not in str(vars(refused.value))
    assert refused.value.__context__ is None or refused.value.__suppress_context__


@pytest.mark.parametrize("name", ["no-such-program-here", "../evil", "/bin/sh", ".."])
def test_find_login_names_a_helper_that_is_not_on_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(RegistryError, match=r"the login for r\.example is not available") as refused:
        find_login("r.example", in_file(tmp_path, {"credsStore": name}))
    assert f"docker-credential-{name}" in refused.value.cause
    assert "config.json" in refused.value.hint


@pytest.mark.parametrize("text", ["nonsense-s3cret", "[1]", '{"auths": {"ghcr.io": {"auth": "s3cret"}}}'])
def test_find_login_names_an_unreadable_variable_without_its_content(tmp_path: Path, text: str) -> None:
    with pytest.raises(RegistryError, match="DOCKER_AUTH_CONFIG cannot be read") as refused:
        find_login("ghcr.io", {"HOME": str(tmp_path), "DOCKER_AUTH_CONFIG": text})
    assert "s3cret" not in str(vars(refused.value))
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_credentials_repr_has_no_secret() -> None:
    shown = repr(Credentials(user="ada", secret="s3cret", identity_token="t0k3n", source="x"))
    assert "s3cret" not in shown
    assert "t0k3n" not in shown


@pytest.mark.parametrize(
    ("host", "key"), [("ghcr.io", "ghcr.io"), ("docker.io", "https://index.docker.io/v1/")]
)
def test_cli_environment_keeps_the_user_s_other_logins(tmp_path: Path, host: str, key: str) -> None:
    own = {"auths": {"a.example": {"auth": "x"}}, "credsStore": "keychain", "credHelpers": {"b.example": "h"}}
    env = in_file(tmp_path, own) | in_variable(key, auth=basic("ada", "gh"))
    (tmp_path / "buildx").mkdir()
    with cli_environment(host, env) as more:
        folder = Path(more["DOCKER_CONFIG"])
        merged = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert (folder / "buildx").resolve() == tmp_path / "buildx"
        assert folder.stat().st_mode & 0o077 == 0
    assert merged["auths"] == {"a.example": {"auth": "x"}, key: {"auth": basic("ada", "gh")}}
    assert merged["credsStore"] == "keychain"
    assert merged["credHelpers"] == {"b.example": "h", key: ""}
    assert not folder.exists()
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == own


def test_cli_environment_passes_an_identity_token(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), **in_variable("r.example", auth=basic("bob", ""), identitytoken="1d")}
    with cli_environment("r.example", env) as more:
        merged = json.loads(Path(more["DOCKER_CONFIG"], "config.json").read_text("utf-8"))
    assert merged["auths"] == {"r.example": {"identitytoken": "1d"}}
