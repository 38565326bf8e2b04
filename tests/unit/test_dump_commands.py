"""Commands that bring a dump, as they stand in the files of repositories, and what is proposed of them."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from haybale import config
from haybale.adoption.dump_commands import choose_command, find_dump_commands
from haybale.adoption.plan import Plan, plan_files
from haybale.adoption.proposal import Origin
from haybale.adoption.survey import survey_repository

if TYPE_CHECKING:
    from pathlib import Path

DUMP = b"-- PostgreSQL database dump\n\n-- Dumped from database version 16.1\n"


def words_of(text: str, file: str = "Makefile") -> list[tuple[str, ...]]:
    return [each.words for each in find_dump_commands([file], lambda _: text)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("\taws s3 cp s3://b/x.sql . --quiet", ("aws", "s3", "cp", "s3://b/x.sql", "{file}", "--quiet")),
        ("\t@gsutil -m cp gs://b/x.dump .", ("gsutil", "-m", "cp", "gs://b/x.dump", "{file}")),
        ("    scp -P 22 me@host:/var/x.sql dumps/", ("scp", "-P", "22", "me@host:/var/x.sql", "{file}")),
        ("- run: curl -fsSL -o x.sql.gz 'https://e.org/x.sql.gz?a=1&b=2'",
         ("curl", "-fsSL", "-o", "{file}", "https://e.org/x.sql.gz?a=1&b=2")),
        ("cd x && curl -fsSLO https://e.org/x.sql", ("curl", "-fsSL", "https://e.org/x.sql", "-o", "{file}")),
        ("wget https://e.org/backup.dump", ("wget", "https://e.org/backup.dump", "-O", "{file}")),
        ("$ wget --output-document=x.sql https://e.org/x", ("wget", "--output-document={file}", "https://e.org/x")),
        ("heroku pg:backups:download", ("heroku", "pg:backups:download", "--output", "{file}")),
        ("ssh host pg_dump -Fc site > site.dump", ("sh", "-c", 'ssh host pg_dump -Fc site > "{file}"')),
        ("curl https://e.org/x | gunzip > x.sql", ("sh", "-c", 'curl https://e.org/x | gunzip > "{file}"')),
    ],
)  # fmt: skip
def test_find_dump_commands_has_the_dump_written_to_its_place(line: str, words: tuple[str, ...]) -> None:
    assert words_of(f"{line}\n") == [words]


@pytest.mark.parametrize(
    "line",
    [
        "aws s3 cp dumps/x.sql s3://b/x.sql",  # it takes one away
        "scp dumps/x.sql host:/var/x.sql",
        "pg_dump site | aws s3 cp - s3://b/x.sql",
        "aws s3 cp --recursive s3://b/dumps dumps",
        "aws s3 cp s3://$NOBODY_KNOWS/x.sql .",
        "curl -LO https://e.org/solr-9.tgz",  # no dump
        "wget https://e.org/latest.tar.gz",
        "curl -o root.crt https://e.org/database/root.crt",
        "pg_restore -d site x.dump",
        "# aws s3 cp s3://b/x.sql .",
        "echo aws s3 cp s3://b/x.sql .",
    ],
)
def test_find_dump_commands_leaves_what_brings_none(line: str) -> None:
    assert words_of(f"{line}\n") == []


def test_find_dump_commands_follows_variables_and_lines_of_a_file() -> None:
    text = "BUCKET := books\n\ndump:\n\taws s3 cp \\\n\t  s3://$(BUCKET)/x.sql dumps/x.sql\n"
    (found,) = find_dump_commands(["README.md", "src/x.py", "Makefile"], lambda _: text)[:1]
    assert (found.words[3], found.target) == ("s3://books/x.sql", "dumps/x.sql")
    (just,) = find_dump_commands(
        ["justfile"], lambda _: 'b := "books"\nd:\n    aws s3 cp s3://{{b}}/x.sql .\n'
    )
    assert (just.words[3], just.place) == ("s3://books/x.sql", "justfile:3")
    assert find_dump_commands(["src/x.py"], lambda _: text) == ()


def test_choose_command_takes_what_writes_to_the_dump_and_else_what_can_be_pinned() -> None:
    text = "pg_dump site > a.sql\naws s3 cp s3://b/b.sql b.sql\nwget https://e.org/c.sql\n"
    commands = find_dump_commands(["Makefile"], lambda _: text)
    assert choose_command(commands, ["a.sql"]) == (commands[0], True)
    assert choose_command(commands, ["x.sql"]) == (commands[1], False)
    assert choose_command((), []) == (None, False)


def propose(root: Path, *ignored: str) -> tuple[dict[str, Any], Plan]:
    plan = plan_files(
        survey_repository(root, lambda file: file not in ignored), Origin(), "1.2.3", "none", {}
    )
    (root / "pyproject.toml").write_text(plan.files["pyproject.toml"], encoding="utf-8")
    config.load(root, {})
    return tomllib.loads(plan.files["pyproject.toml"])["tool"]["haybale"], plan


def test_propose_fetches_what_a_dangling_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/site_latest.sql.gz").symlink_to("files/2026.sql.gz")
    (tmp_path / "justfile").write_text(
        "a:\n    wget https://e.org/x.sql\n    aws s3 cp s3://b/2026.sql.gz dumps/files/2026.sql.gz\n",
        encoding="utf-8",
    )
    table, plan = propose(tmp_path)
    assert table["database"] == {"fetch": ["aws", "s3", "cp", "s3://b/2026.sql.gz", "{file}"]}
    assert "dump" not in table
    assert any(
        each.startswith("database.fetch: justfile:3 has this command, which writes to") for each in plan.notes
    )
    assert any(each.startswith("database.sha256: ") for each in plan.notes)


def test_propose_pins_a_dump_that_was_fetched_and_that_git_ignores(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_bytes(DUMP)
    (tmp_path / "Makefile").write_text("dump:\n\tgsutil cp gs://b/x.sql ./x.sql\n", encoding="utf-8")
    table, _ = propose(tmp_path, "x.sql")
    assert table["database"]["sha256"] == hashlib.sha256(DUMP).hexdigest()


def test_propose_fetches_nothing_where_the_dump_is_in_git(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_bytes(DUMP)
    (tmp_path / "Makefile").write_text("dump:\n\tgsutil cp gs://b/x.sql ./x.sql\n", encoding="utf-8")
    table, _ = propose(tmp_path)
    assert (table["dump"], "database" in table) == ("x.sql", False)
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "Makefile").unlink()
    assert any("git ignores x.sql" in each for each in propose(tmp_path, "x.sql")[1].notes)
