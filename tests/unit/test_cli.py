from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from haybale.cli import chain_of_failures, haybale
from haybale.commands import build, test
from haybale.errors import BuildError, LoadError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

Given = list[tuple[Any, ...]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What the verbs that reach out would have been called with."""
    calls: Given = []

    def noting(answer: object) -> Callable[..., Any]:
        def note(_checkout: object, *arguments: Any, say: object = None, **options: Any) -> object:
            assert say is None or callable(say)
            calls.append((*arguments, *options.values()))
            return answer

        return note

    for module in (build, test):
        monkeypatch.setattr(module, "current_checkout", object)
    monkeypatch.setattr(build, "build_stage", noting("site:v1"))
    monkeypatch.setattr(test, "run_ci_compose", noting(7))
    monkeypatch.setattr(test, "run_solr_compose", noting(0))
    return calls


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["build"], ("release", "--load", False, ())),
        (["build", "tester", "--load", ""], ("tester", "--load", True, ())),
        (["build", "tester", "--push", "1", "--no-cache"], ("tester", "--push", False, ("--no-cache",))),
        (["push"], ("release", "--push", False, ())),
        (["push", "solr"], ("solr", "--push", False, ())),
    ],
)
def test_build_and_push_take_positional_arguments_with_defaults(
    given: Given, line: list[str], expected: tuple[Any, ...]
) -> None:
    result = CliRunner().invoke(haybale, line, standalone_mode=False)
    assert result.exception is None
    assert given == [expected]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ps", "--all"),
        ("exec", "web", "sh", "-c", 'echo "a b"'),
        ("logs", "-f", "web"),
        ("--help",),
        ("run", "--rm", "-e", "A=", "web", ""),
    ],
)
def test_ci_dc_hands_arguments_on_as_they_are(given: Given, arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(haybale, ["ci-dc", *arguments], standalone_mode=False)
    assert [call[0] for call in given] == [arguments]
    assert result.exit_code == 7


def test_chain_of_failures_has_the_first_before_the_one_of_its_clean_up() -> None:
    first, second = LoadError("loading failed"), ServiceError("not removed")

    def failing() -> None:
        try:
            raise first
        finally:
            raise second

    with pytest.raises(ServiceError) as raised:
        failing()
    assert chain_of_failures(raised.value) == [first, second]
    assert chain_of_failures(first) == [first]


def test_chain_of_failures_leaves_out_what_was_raised_again_in_other_words() -> None:
    first, original, reworded = (
        LoadError("loading failed"),
        ServiceError("not removed"),
        BuildError("no image"),
    )

    def clean_up() -> None:
        try:
            raise original
        except ServiceError as error:
            raise reworded from error

    def failing() -> None:
        try:
            raise first
        finally:
            clean_up()

    with pytest.raises(BuildError) as raised:
        failing()
    assert chain_of_failures(raised.value) == [first, reworded]


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["regen"], {"regen-requirements", "regen-solr-image"}), (["test", "--k"], {"--keep"})],
)
def test_shell_completion_knows_verbs_and_their_options(words: list[str], expected: set[str]) -> None:
    *before, incomplete = words
    completion = ShellComplete(haybale, {}, "haybale", "_HAYBALE_COMPLETE")
    assert {each.value for each in completion.get_completions(before, incomplete)} == expected
