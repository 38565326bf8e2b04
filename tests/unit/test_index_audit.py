"""What the loader is told, and what follows from its findings."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.errors import InputsError
from haybale.index.audit import Unknown, check_unknown_inputs, write_inputs
from haybale.loader.events import Finding

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = Finding(kind="file", what="data/topics.json", by="prepare_topics")
PEOPLE = Finding(kind="module", what="people/models.py", by="prepare_author")
SERVER = Finding(kind="socket", what="10.0.0.7:443", by="prepare_title")
PROGRAM = Finding(kind="program", what="/usr/bin/pdftotext", by="prepare_text")
OUTSIDE = Finding(kind="file", what="/srv/media/1.pdf", by="prepare_text")
FARM = Finding(kind="database", what="farm.sqlite3", by="prepare_farm")


def settings(**index: object) -> config.Settings:
    base = config.Settings(
        name="barn", registry="registry.example/barn", core="hay", site=config.SiteSettings(folder="web")
    )
    return replace(base, index=replace(base.index, **index))  # type: ignore[arg-type]


def unknown(*findings: Finding) -> Unknown:
    return Unknown(findings=findings, total=len(findings))


def raised(found: Unknown, **index: object) -> InputsError:
    with pytest.raises(InputsError) as caught:
        check_unknown_inputs(found, settings(**index))
    return caught.value


def proposal(error: InputsError) -> object:
    """Return what the proposed lines say, read as TOML."""
    _, _, lines = error.hint.partition("\n")
    return tomllib.loads(lines)["tool"]["haybale"]["index"]


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_check_unknown_inputs_accepts_nothing(policy: str) -> None:
    assert check_unknown_inputs(Unknown(), settings(unknown=policy)) == ()


def test_check_unknown_inputs_raises_a_single_finding() -> None:
    error = raised(unknown(TOPICS))
    assert error.message.startswith("`prepare_topics` read `web/data/topics.json`")
    assert proposal(error) == {"inputs": ["web/data/topics.json"]}
    assert error.exit_code == 14


def test_check_unknown_inputs_lists_every_finding_as_a_sentence() -> None:
    error = raised(unknown(TOPICS, PEOPLE, SERVER, PROGRAM, OUTSIDE, FARM))
    assert "6 things" in error.message
    assert error.log.splitlines() == [
        "`prepare_topics` read `web/data/topics.json`",
        "`prepare_author` used the code in `web/people/models.py`",
        "`prepare_title` connected to `10.0.0.7:443`",
        "`prepare_text` ran `/usr/bin/pdftotext`",
        "`prepare_text` read `/srv/media/1.pdf`",
        "`prepare_farm` opened `web/farm.sqlite3`",
    ]


def test_check_unknown_inputs_proposes_lines_that_keep_what_is_there() -> None:
    found = unknown(TOPICS, PEOPLE, SERVER, PROGRAM, OUTSIDE, FARM)
    error = raised(found, inputs=("web/z.json", "web/data/topics.json"), ignore=("db:5432",))
    assert proposal(error) == {
        "inputs": ["web/z.json", "web/data/topics.json", "web/farm.sqlite3", "web/people/models.py"],
        "ignore": ["db:5432", "/srv/media/1.pdf", "/usr/bin/pdftotext", "10.0.0.7:443"],
    }


def test_check_unknown_inputs_quotes_names_for_toml_and_globs() -> None:
    odd = TOPICS._replace(what='data/"ä"\\[1].json')
    assert proposal(raised(unknown(odd))) == {"inputs": ['web/data/"ä"\\[[]1].json']}


def test_check_unknown_inputs_counts_what_is_not_listed() -> None:
    error = raised(Unknown(findings=(TOPICS, PEOPLE), total=52))
    assert "52 things" in error.message
    assert error.log.splitlines()[-1] == "and 50 more"


def test_check_unknown_inputs_warns_instead() -> None:
    told = check_unknown_inputs(unknown(TOPICS, SERVER), settings(unknown="warn"))
    assert [each.partition(": ")[2] for each in told] == [
        "`prepare_topics` read `web/data/topics.json`",
        "`prepare_title` connected to `10.0.0.7:443`",
    ]


@pytest.mark.parametrize(
    ("site", "inputs", "ignore"),
    [
        ("web", ["a.py", "b/c.py"], ["/srv/*", "db:5432", "*:443", "data/**", "**/*.txt"]),
        ("web/b", ["c.py"], ["/srv/*", "db:5432", "*:443", "**/*.txt"]),
        (
            ".",
            ["Dockerfile", "web/a.py", "web/b/c.py", "website/a.py"],
            ["/srv/*", "db:5432", "*:443", "web/data/**", "**/*.txt", "other/*"],
        ),
    ],
)
def test_write_inputs_has_the_sites_folder_only(
    tmp_path: Path, site: str, inputs: list[str], ignore: list[str]
) -> None:
    write_inputs(
        tmp_path / "inputs.json",
        frozenset({"web/b/c.py", "web/a.py", "Dockerfile", "website/a.py"}),
        site,
        ("web/data/**", "/srv/*", "db:5432", "**/*.txt", "other/*", "*:443"),
    )
    said = json.loads((tmp_path / "inputs.json").read_text())
    assert said["inputs"] == inputs
    assert sorted(said["ignore"]) == sorted(ignore)


def test_write_inputs_has_what_is_mounted_by_its_path_in_the_container(tmp_path: Path) -> None:
    write_inputs(tmp_path / "inputs.json", frozenset({"web/a.py"}), "web", (), ["/app/local.py"])
    assert json.loads((tmp_path / "inputs.json").read_text())["inputs"] == ["/app/local.py", "a.py"]
