from __future__ import annotations

from pathlib import Path

import pytest

from haybale.errors import PrerequisiteError
from haybale.images.host import SECRET_LIMIT, find_ca_bundle, pip_configuration, pip_files


def test_find_ca_bundle_gives_none_where_none_is_named(tmp_path: Path) -> None:
    assert find_ca_bundle({}) is None
    assert find_ca_bundle({"SSL_CERT_FILE": "", "PIP_CERT": str(tmp_path / "gone")}) is None


def test_find_ca_bundle_gives_the_first_that_exists(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    env = {"CURL_CA_BUNDLE": str(tmp_path / "b"), "SSL_CERT_FILE": str(tmp_path / "gone")}
    assert find_ca_bundle(env) == tmp_path / "b"
    assert find_ca_bundle({**env, "REQUESTS_CA_BUNDLE": str(tmp_path / "a")}) == tmp_path / "a"


def test_find_ca_bundle_refuses_one_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "ca").write_bytes(b"x" * (SECRET_LIMIT + 1))
    with pytest.raises(PrerequisiteError, match="500 KB") as told:
        find_ca_bundle({"PIP_CERT": str(tmp_path / "ca")})
    assert "PIP_CERT" in told.value.cause


def test_pip_configuration_is_none_where_nothing_is_set(tmp_path: Path) -> None:
    assert pip_configuration({}, [tmp_path / "missing.conf"]) is None


def test_pip_configuration_has_only_what_reaches_packages_the_environment_first(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://one.example/simple\ncert = /etc/ca.pem\n"
        "[install]\ntrusted-host = one.example\n",
        encoding="utf-8",
    )
    made = pip_configuration({"PIP_INDEX_URL": "https://two.example/simple"}, [file])
    assert made is not None
    assert made.splitlines()[0] == "[global]"
    assert set(made.splitlines()[1:]) == {
        "index-url = https://two.example/simple",
        "trusted-host = one.example",
    }


@pytest.mark.parametrize(
    ("env", "last"),
    [
        ({"HOME": "/home/a"}, "/home/a/.config/pip/pip.conf"),
        ({"HOME": "/home/a", "XDG_CONFIG_HOME": "/x"}, "/x/pip/pip.conf"),
        ({"HOME": "/home/a", "PIP_CONFIG_FILE": "/y.conf"}, "/y.conf"),
    ],
)
def test_pip_files_are_those_that_pip_reads(env: dict[str, str], last: str) -> None:
    assert pip_files(env)[-1] == Path(last)
