"""Which Dockerfile each stage is built from: the repository's, or haybale's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.errors import ConfigError, UsageError
from haybale.images import stages
from haybale.images.dockerfile import Dockerfile, build_arguments, parse_dockerfile
from haybale.images.stages import (
    LAST_STAGE,
    SOLR_STAGE,
    TESTER_STAGE,
    find_stage,
    site_instructions,
    stage_names,
)

if TYPE_CHECKING:
    from pathlib import Path

TABLE = (
    '[tool.haybale]\nname = "site"\nregistry = "localhost:5000/site"\ncore = "pages"\n'
    'requirements.production = "requirements.txt"\n'
)
THEIRS = """\
FROM python:3.11 as base
USER app
FROM base as production
RUN build
"""


def project(folder: Path, dockerfile: str | None, more: str = "") -> config.Project:
    if dockerfile is not None:
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        more = f'dockerfile = "Dockerfile"\n{more}'
    (folder / "mysite").mkdir(exist_ok=True)
    (folder / "mysite/wsgi.py").write_text("", encoding="utf-8")
    (folder / "requirements.txt").write_text("django==5.2\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text(TABLE + more, encoding="utf-8")
    return config.load(folder, {})


def test_stage_names_of_a_repository_without_dockerfile(tmp_path: Path) -> None:
    assert stage_names(project(tmp_path, None)) == ("release", "tester", "solr")


def test_stage_names_have_the_others_of_a_dockerfile(tmp_path: Path) -> None:
    made = project(tmp_path, THEIRS, 'stages.release = "production"\n')
    assert stage_names(made) == ("base", "release", "tester", "solr")
    assert stage_names(project(tmp_path, "FROM a\n")) == ("release", "tester", "solr")


def test_find_stage_writes_a_lock_out_in_a_stage_of_its_own(tmp_path: Path) -> None:
    """What changes beside the lock, such as pyproject.toml, installs nothing again."""
    made = project(tmp_path, None)
    (tmp_path / "pyproject.toml").write_text(TABLE.replace("requirements.txt", "uv.lock"), encoding="utf-8")
    (tmp_path / "uv.lock").write_text("version = 1\n", encoding="utf-8")
    made = config.load(tmp_path, {})
    stages = parse_dockerfile(find_stage(made, "tester").text, "Dockerfile").stages
    instructions = {stage.name: stage.instructions for stage in stages}
    written, installed = instructions["haybale-requirements"], instructions["haybale-dependencies"]
    assert 'COPY ["uv.lock", "/build/uv.lock"]' in written
    assert "uv export" in written[-1]
    copied = "COPY --from=haybale-requirements /build/haybale-{}.txt /build/"
    assert installed[1:-1] == [copied.format("production")]
    assert copied.format("development") in instructions[TESTER_STAGE]


def test_find_stage_takes_the_last_stage_for_the_release(tmp_path: Path) -> None:
    source = find_stage(project(tmp_path, THEIRS), "release")
    assert (source.target, source.text, source.needs_context) == ("production", THEIRS, True)


def test_find_stage_names_a_last_stage_that_has_no_name(tmp_path: Path) -> None:
    text = "ARG A=1\nFROM a AS one\nFROM  python:3.11 \nRUN x\nCMD y\n"
    source = find_stage(project(tmp_path, text), "release")
    assert source.target == LAST_STAGE
    stages = parse_dockerfile(source.text, "Dockerfile").stages
    assert [stage.instructions for stage in stages] == [
        ["FROM a AS one"], [f"FROM  python:3.11 AS {LAST_STAGE}", "RUN x", "CMD y"],
    ]  # fmt: skip


def test_find_stage_asks_for_a_name_where_from_goes_over_two_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Dockerfile:1: the last stage has no name"):
        find_stage(project(tmp_path, "FROM \\\n  python\n"), "release")


def test_find_stage_makes_a_tester_of_the_release_with_its_user(tmp_path: Path) -> None:
    made = project(tmp_path, THEIRS, 'test.install = "pip install -r dev.txt"\n')
    source = find_stage(made, "tester")
    assert source.target == TESTER_STAGE
    first, root, run, user = parse_dockerfile(source.text, "Dockerfile").stages[-1].instructions
    assert (first, root, user) == (f"FROM production AS {TESTER_STAGE}", "USER root", "USER app")
    assert run.endswith("pip install -r dev.txt")


def test_find_stage_makes_a_tester_that_is_the_release_where_nothing_is_installed(tmp_path: Path) -> None:
    source = find_stage(project(tmp_path, THEIRS), "tester")
    assert parse_dockerfile(source.text, "Dockerfile").stages[-1].instructions == [
        f"FROM production AS {TESTER_STAGE}"
    ]


def test_find_stage_links_the_database_to_where_the_site_opens_it(tmp_path: Path) -> None:
    """Whatever the last USER is, in the release and in the tester that is made of it."""
    made = project(tmp_path, THEIRS, 'database.path = "/srv/site/db.sqlite3"\n')
    source = find_stage(made, "release")
    *_, link, linked = parse_dockerfile(source.text, "Dockerfile").stages
    assert link.instructions == [
        "FROM production AS haybale-link",
        "RUN mkdir /tmp/haybale-link && ln -s /data/db.sqlite3 /tmp/haybale-link/db.sqlite3",
    ]
    assert (source.target, linked.instructions) == (
        "haybale-linked",
        ["FROM production AS haybale-linked", "COPY --from=haybale-link /tmp/haybale-link/ /srv/site/"],
    )
    tester = parse_dockerfile(find_stage(made, "tester").text, "Dockerfile").stages[-1]
    assert tester.instructions == [f"FROM haybale-linked AS {TESTER_STAGE}"]


def test_find_stage_links_the_database_in_a_tester_of_their_own(tmp_path: Path) -> None:
    theirs = f"{THEIRS}FROM production AS Test\nRUN pip install pytest\n"
    lines = 'database.path = "/app/db.sqlite3"\nstages.release = "production"\nstages.tester = "Test"\n'
    made = project(tmp_path, theirs, lines)
    source = find_stage(made, "tester")
    assert source.target == "haybale-linked"
    assert "pip install pytest" in source.instructions(build_arguments(made.settings))


def test_index_is_another_one_where_the_database_is_linked(tmp_path: Path) -> None:
    before = site_instructions(project(tmp_path, THEIRS), ("release",))
    linked = project(tmp_path, THEIRS, 'database.path = "/app/db.sqlite3"\n')
    assert site_instructions(linked, ("release",)) != before


def test_find_stage_has_a_solr_of_haybale_s_own_that_needs_nothing_of_the_repository(tmp_path: Path) -> None:
    source = find_stage(project(tmp_path, THEIRS, 'images.solr = "solr:9.9"\n'), "solr")
    assert (source.target, source.needs_context, source.file) == (SOLR_STAGE, False, None)
    assert source.text.startswith("FROM solr:9.9 AS ")
    assert "${solr.max.booleanClauses:1024}" in source.text


@pytest.mark.parametrize("stage", ["release", "tester", "solr"])
def test_find_stage_names_the_setting_of_a_stage_that_is_not_there(tmp_path: Path, stage: str) -> None:
    made = project(tmp_path, THEIRS, f'stages.{stage} = "prod"\n')
    with pytest.raises(ConfigError, match="has no stage 'prod'") as raised:
        find_stage(made, stage)
    assert f"stages.{stage}" in raised.value.cause
    assert "base, production" in raised.value.cause


def test_find_stage_refuses_an_unknown_stage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no stage 'releas'"):
        find_stage(project(tmp_path, None), "releas")


def test_find_stage_writes_a_dockerfile_for_a_site_that_has_none(tmp_path: Path) -> None:
    made = project(
        tmp_path, None, 'image = {packages = ["libpq5"], build_packages = ["gcc"]}\nsite.port = 9000\n'
    )
    source = find_stage(made, "release")
    release = next(
        stage for stage in parse_dockerfile(source.text, "Dockerfile").stages if stage.name == "release"
    )
    assert 'CMD ["gunicorn", "--bind", "0.0.0.0:9000", "mysite.wsgi"]' in release.instructions
    assert sum("libpq5" in line for line in release.instructions) == 1
    assert not any("gcc" in line for line in release.instructions)
    collected = next(line for line in release.instructions if "collectstatic" in line)
    assert "SOLR_URL=http://solr:8983/solr/none" in collected
    assert "dumps" in source.ignored


def test_find_stage_asks_how_a_site_starts(tmp_path: Path) -> None:
    made = project(tmp_path, None)
    (tmp_path / "mysite/wsgi.py").unlink()
    with pytest.raises(ConfigError, match=r"it is not known how the site in .* starts"):
        find_stage(made, "release")


def test_site_instructions_ignore_the_tester(tmp_path: Path) -> None:
    before = site_instructions(project(tmp_path, THEIRS), ("release", "solr"))
    after = site_instructions(project(tmp_path, THEIRS, 'test.install = "x"\n'), ("release", "solr"))
    assert before == after
    assert build_arguments(project(tmp_path, THEIRS).settings)


@pytest.mark.parametrize(("stage", "texts"), [("production", 1), ("release", 1), ("tester", 2)])
def test_find_stage_parses_each_text_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, texts: int
) -> None:
    parsed: list[str] = []

    def parse(text: str, file: str) -> Dockerfile:
        parsed.append(text)
        return parse_dockerfile(text, file)

    monkeypatch.setattr(stages, "parse_dockerfile", parse)
    found = find_stage(project(tmp_path, f"{THEIRS}FROM production AS last\n"), stage)
    assert found.instructions({})
    assert len(parsed) == len({*parsed}) == texts
