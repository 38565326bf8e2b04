"""Whose login is used for which registry."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from haybale.errors import RegistryError
from haybale.tools import credentials
from haybale.tools.credentials import Credentials, cli_environment, find

if TYPE_CHECKING:
    from pathlib import Path

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
def test_a_login_goes_to_its_own_registry_alone(
    tmp_path: Path, host: str, env: dict[str, str], login: tuple[str, str] | None
) -> None:
    found = find(host, {"HOME": str(tmp_path), **env})
    assert (found and (found.user, found.secret)) == login


def test_docker_s_own_login_comes_first(tmp_path: Path) -> None:
    """Its command line would use that one too."""
    entry = {"auths": {"ghcr.io": {"auth": basic("own", "o")}}}
    (tmp_path / "config.json").write_text(json.dumps(entry), encoding="utf-8")
    env = {"DOCKER_CONFIG": str(tmp_path), **GITHUB, **in_variable("ghcr.io", auth=basic("bob", "x"))}
    found = find("ghcr.io", env)
    assert found is not None
    assert (found.user, found.source) == ("own", str(tmp_path / "config.json"))
    with cli_environment("ghcr.io", env) as more:
        assert more == {}


@pytest.mark.parametrize("text", ["nonsense-s3cret", "[1]", '{"auths": {"ghcr.io": {"auth": "s3cret"}}}'])
def test_a_variable_that_can_t_be_read_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(RegistryError, match="DOCKER_AUTH_CONFIG can't be read") as refused:
        find("ghcr.io", {"HOME": str(tmp_path), "DOCKER_AUTH_CONFIG": text})
    assert "s3cret" not in str(vars(refused.value))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_secret_is_not_in_what_is_printed() -> None:
    shown = repr(Credentials(user="ada", secret="s3cret", identity_token="t0k3n", source="x"))
    assert "s3cret" not in shown
    assert "t0k3n" not in shown


def test_the_command_line_keeps_the_user_s_other_logins(tmp_path: Path) -> None:
    own = {"auths": {"a.example": {"auth": "x"}}, "credsStore": "keychain", "credHelpers": {"b.example": "h"}}
    (tmp_path / "config.json").write_text(json.dumps(own), encoding="utf-8")
    (tmp_path / "buildx").mkdir()
    env = {"DOCKER_CONFIG": str(tmp_path)} | GITHUB

    def nothing(*_: object) -> None:
        return None

    with pytest.MonkeyPatch.context() as patch:
        # The store is a program, which unit tests don't start; it has nothing for this registry.
        patch.setattr(credentials, "_of_docker", nothing)
        with cli_environment("ghcr.io", env) as more:
            folder = tmp_path.__class__(more["DOCKER_CONFIG"])
            merged = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            assert (folder / "buildx").resolve() == tmp_path / "buildx"
    assert merged["auths"] == {"a.example": {"auth": "x"}, "ghcr.io": {"auth": basic("ada", "gh")}}
    assert merged["credsStore"] == "keychain"
    assert merged["credHelpers"] == {"b.example": "h", "ghcr.io": ""}
    assert not folder.exists()
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == own
