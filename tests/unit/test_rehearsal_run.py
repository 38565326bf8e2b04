"""How a rehearsal judges manifests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from haybale import config
from haybale.deploy.flux import render_objects, secret_name
from haybale.errors import ReleaseError
from haybale.rehearsal.forges import RefChange
from haybale.rehearsal.run import Delivery, Manifests, Rehearsal, check_access, deliver_events

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://git.example/hay/stack"
SETTINGS = """\
[tool.haybale]
name = "hay_stack"
registry = "registry.example/hay"
core = "hay"
[tool.haybale.environments.dev]
host = "dev.example"
[tool.haybale.environments.prod]
after = "dev"
namespace = "hay"
"""


def settings(folder: Path, more: str = "", text: str = SETTINGS) -> config.Settings:
    (folder / "pyproject.toml").write_text(text + more, encoding="utf-8")
    return config.load(folder, {}).settings


def objects(its: config.Settings, environment: str = "dev") -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all(render_objects(its, environment, URL))}


def manifests_of(its: config.Settings) -> dict[str, Manifests]:
    found = {}
    for name in its.environments:
        kinds = objects(its, name)
        found[name] = Manifests(
            source=kinds["GitRepository"], receiver=kinds["Receiver"],
            applied=kinds["Kustomization"], secret=secret_name(its, name),
        )  # fmt: skip
    return found


def moves(*refs: str, new: bool = False) -> list[tuple[str, list[RefChange]]]:
    changes = [RefChange(ref=f"refs/tags/{ref}", old=None if new else "1" * 40, new="2" * 40) for ref in refs]
    return [("a move", changes)]


def wrong(found: list[Delivery]) -> list[tuple[str, int | None, bool]]:
    return [(each.receiver, each.status, each.fired) for each in found if not each.passed]


@pytest.mark.parametrize("forge", ["github", "gitlab", "generic"])
@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("new", [True, False])
def test_deliver_events_wakes_only_its_environment(
    tmp_path: Path, forge: str, environment: str, new: bool
) -> None:
    its = settings(tmp_path, f'[tool.haybale.flux]\nforge = "{forge}"\n')
    moved = moves(f"{environment}/deploy", f"last/{environment}/deploy", new=new)
    found = deliver_events(forge, environment, manifests_of(its), moved)
    assert wrong(found) == []
    assert {each.receiver for each in found if each.fired} == {environment}
    assert found[-1].move == "forged"
    assert found[-1].status == 400


def test_deliver_events_similar_names(tmp_path: Path) -> None:
    its = settings(tmp_path, "[tool.haybale.environments.dev-dev]\n[tool.haybale.environments.ev]\n")
    for name in its.environments:
        found = deliver_events("github", name, manifests_of(its), moves(f"{name}/deploy", new=True))
        assert {each.receiver for each in found if each.fired} == {name}


def with_receiver(found: dict[str, Manifests], **spec: Any) -> dict[str, Manifests]:
    receiver = found["dev"].receiver
    return {
        **found,
        "dev": replace(found["dev"], receiver={**receiver, "spec": {**receiver["spec"], **spec}}),
    }


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        # It wakes for another environment's tag, as for its own.
        ({"resourceFilter": "has(req.ref) && req.ref.endsWith('/deploy')"}, {("dev", 200, True)}),
        ({"events": ["ping", "push"]}, {("dev", 400, False)}),
        ({"resourceFilter": "req.ref == 'refs/tags/dev/deploy'"}, {("dev", 500, False)}),
        # A ping and a push have none.
        ({"resourceFilter": "req.ref_type == 'tag'"}, {("dev", 200, True), ("dev", 500, False)}),
        ({"suspend": True}, {("dev", 503, False)}),
    ],
)
def test_deliver_events_finds_mistake_in_another_receiver(
    tmp_path: Path, spec: dict[str, Any], told: set[tuple[str, int, bool]]
) -> None:
    manifests = with_receiver(manifests_of(settings(tmp_path)), **spec)
    found = deliver_events("github", "prod", manifests, moves("prod/deploy", new=True))
    assert set(wrong(found)) == told


def test_deliver_events_finds_receiver_that_misses_its_tag(tmp_path: Path) -> None:
    manifests = with_receiver(
        manifests_of(settings(tmp_path)), resourceFilter="has(req.ref) && req.ref == 'dev/deploy'"
    )
    found = deliver_events("github", "dev", manifests, moves("dev/deploy"))
    assert wrong(found) == [("dev", 200, False)]
    rehearsal = Rehearsal(environment="dev", deliveries=tuple(found), checks=())
    with pytest.raises(ReleaseError, match="the Receiver of dev answers 200: does nothing"):
        rehearsal.raise_if_failed()


def test_deliver_events_finds_too_many_tags(tmp_path: Path) -> None:
    moved = moves("dev/deploy", "last/dev/deploy", "v1", "v2")
    found = deliver_events("github", "dev", manifests_of(settings(tmp_path)), moved)
    assert [each.detail for each in found if not each.passed] == [
        "the forge sends nothing for 4 refs at once"
    ]


@pytest.mark.parametrize(
    ("spec", "passed"),
    [
        ({"url": "https://git.example/a"}, True),
        ({"url": "ssh://git@git.example/a"}, False),
        ({"url": "ssh://git@git.example/a", "secretRef": {}}, False),
        ({"url": "ssh://git@git.example/a", "secretRef": {"name": "key"}}, True),
    ],
)
def test_check_access_wants_a_key_for_ssh(spec: dict[str, Any], passed: bool) -> None:
    ((found, detail),) = check_access(spec).values()
    assert found == passed
    assert spec["url"] in detail
