from __future__ import annotations

import pytest

from haybale.errors import RequirementsError
from haybale.requirements.logins import read_variables

ENV = {"PUSER": "canary-user", "PTOKEN": "canary-token", "ON": "1"}
WRITTEN = "http://${PUSER}:${PTOKEN}@host/private-1.0-py3-none-any.whl"
EXPANDED = "http://canary-user:canary-token@host/private-1.0-py3-none-any.whl"


def test_restore_writes_variables_where_pip_wrote_their_values() -> None:
    variables = read_variables([f"private@{WRITTEN}\nother @ https://host/${{UNSET}}/x.whl\n"], ENV)
    compiled = f"private @ {EXPANDED} \\\n    --hash=sha256:00\n"
    assert variables.restore(compiled) == compiled.replace(EXPANDED, WRITTEN)


def test_restore_tells_addresses_apart_of_which_one_begins_the_other() -> None:
    text = "a @ https://${PTOKEN}@host/a\nb @ https://${PTOKEN}@host/a${ON}\n"
    variables = read_variables([text], ENV)
    assert variables.restore("https://canary-token@host/a1") == "https://${PTOKEN}@host/a${ON}"


@pytest.mark.parametrize(
    "seen",
    [
        f"cannot fetch {EXPANDED}",
        "cannot fetch https://canary-user:canary-token@elsewhere/simple/",
        "Looking in links: https://other:canary-token@h/x, git+https://canary-token@h/y",
        "a header with canary-token in it",
        "ERROR: <Response 401 for 'https://canary-user@h'>",
    ],
)
def test_hide_leaves_no_login(seen: str) -> None:
    assert "canary" not in read_variables([f"private @ {WRITTEN}"], ENV).hide(seen)


@pytest.mark.parametrize("seen", ["https://u:canary@h/x", "git+ssh://canary@h/x", "see https://h/a and b@c"])
def test_hide_leaves_no_login_without_variables(seen: str) -> None:
    hidden = read_variables([], {}).hide(seen)
    assert "canary" not in hidden
    assert hidden.endswith(seen[-3:])


@pytest.mark.parametrize(
    "address", [EXPANDED, "https://canary@host/x.whl", "https://host/x.whl?token=canary-token"]
)
def test_raise_if_shown_refuses_a_login_and_does_not_show_it(address: str) -> None:
    variables = read_variables(["x @ https://host/x.whl?key=${PTOKEN}"], ENV)
    with pytest.raises(RequirementsError, match="has a login in it") as raised:
        variables.raise_if_shown(f"x @ {address} \\\n    --hash=sha256:00\n")
    assert "canary" not in raised.value.message


def test_raise_if_shown_takes_variables() -> None:
    read_variables([WRITTEN], ENV).raise_if_shown(f"x @ {WRITTEN} \\\n    --hash=sha256:00\n")


def test_read_variables_passes_all_that_the_inputs_use() -> None:
    """Children see only some variables: GIT_TOKEN is none of them."""
    env = {"GIT_TOKEN": "t", "VERSION": "5.2", "OTHER": "x", "EMPTY": ""}
    found = read_variables(["django==${VERSION}\nx @ https://${GIT_TOKEN}@h/x.whl\ny==${EMPTY}\n"], env)
    assert found.environment == {"GIT_TOKEN": "t", "VERSION": "5.2"}
