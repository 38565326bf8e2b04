from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from haybale.cli import haybale
from haybale.verbs import VERBS, Verb, replace_recipes, verbs_by_group

ROOT = Path(__file__).parents[2]


def test_verbs_by_group_has_every_verb_once() -> None:
    listed = [verb for verbs in verbs_by_group().values() for verb in verbs]
    assert listed == list(VERBS)
    assert len({verb.name for verb in VERBS}) == len(VERBS)


def test_the_help_of_haybale_lists_every_verb_with_its_help() -> None:
    listed = " ".join(CliRunner().invoke(haybale, ["--help"]).output.split())
    assert [verb.name for verb in VERBS if f"{verb.name} {verb.help}" not in listed] == []


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_a_command_of_its_name(verb: Verb) -> None:
    command = haybale.commands[verb.name]
    context = command.make_context(verb.name, [], resilient_parsing=True)
    assert context.command is not command
    assert context.command.name == verb.name
    assert context.command.help == verb.help


def test_the_justfile_has_the_recipes_of_the_verbs() -> None:
    justfile = (ROOT / "justfile").read_text(encoding="utf-8")
    assert replace_recipes(justfile) == justfile, "write them: python3 src/haybale/verbs.py"
