from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from haybale.errors import ConfigError, UsageError
from haybale.images.dockerfile import (
    parse_dockerfile,
    raise_if_unknown,
    required_instructions,
    required_stages,
    user_of,
)

# Dockerfiles of our own, in the shapes of public ones, with BuildKit's answers: main.go beside them asked it.
TABLE = json.loads(
    (Path(__file__).parents[1] / "tables" / "dockerfile" / "cases.json").read_text(encoding="utf-8")
)
ARGUMENTS = TABLE["arguments"]
# BuildKit lets the last one win; haybale refuses it.
DOUBLED = "FROM a AS plain\nFROM b AS plain\nFROM plain AS release\n"
ACCEPTED = [file for file in TABLE["files"] if "error" not in file and file["text"] != DOUBLED]
# Where it depends on the platform, on a pattern, or on numbers in a mount, what might be meant counts.
MAY_BE_WIDE = re.compile(r"\$\{?TARGET|\$\{\w+[#%/]|mount=\S*from=\d")


def names(text: str) -> tuple[str, ...]:
    return tuple(stage.name for stage in parse_dockerfile(text, "Dockerfile").stages if stage.name)


@pytest.mark.parametrize("word", ["as", "AS", "As"])
def test_parse_dockerfile_reads_as_in_any_case(word: str) -> None:
    assert names(f"FROM a {word} one\nfrom b {word} two\n") == ("one", "two")


def test_parse_dockerfile_gives_names_in_lower_case() -> None:
    assert names("FROM a AS Runner\n") == ("runner",)


def test_parse_dockerfile_gives_no_name_to_stages_without_one() -> None:
    assert names("FROM a\nFROM b AS two\nFROM two\n") == ("two",)


def test_parse_dockerfile_reads_arguments_and_platforms_in_from() -> None:
    text = "ARG BASE=python\nFROM --platform=$BUILDPLATFORM ${BASE:-a}:${TAG} AS one\n"
    assert names(text) == ("one",)


def test_parse_dockerfile_ignores_comments() -> None:
    assert names("# FROM a AS no\nFROM a AS yes\n  # FROM b AS no\n") == ("yes",)


def test_parse_dockerfile_reads_a_from_over_several_lines() -> None:
    text = "FROM \\\n  # why this one\n\n  --platform=linux/amd64 \\\n  a \\\n  AS one\nRUN true\n"
    assert names(text) == ("one",)


def test_parse_dockerfile_ignores_from_in_a_continued_run() -> None:
    assert names("FROM a AS one\nRUN echo \\\n FROM b AS two\n") == ("one",)


def test_parse_dockerfile_reads_another_escape_character() -> None:
    assert names("# escape=`\nFROM a AS one\nRUN dir C:\\\nFROM b `\n AS two\n") == ("one", "two")


def test_parse_dockerfile_reads_directives_in_any_order() -> None:
    assert names("# syntax=docker/dockerfile:1\n#Escape = `\nFROM `\n a AS one\n") == ("one",)


def test_parse_dockerfile_takes_a_directive_after_a_comment_for_a_comment() -> None:
    assert names("# hello\n# escape=`\nFROM \\\n a AS one\n") == ("one",)


@pytest.mark.parametrize(
    "heredoc",
    [
        "RUN <<EOF\nFROM b AS two\nEOF\n",
        "RUN <<'EOF'\nFROM b AS two\nEOF\n",
        'RUN cat <<"END" > /x\nFROM b AS two\nEND\n',
        "RUN <<-EOF\n\tFROM b AS two\n\tEOF\n",
        "COPY <<one <<two /x/\nFROM b AS two\none\nFROM c AS three\ntwo\n",
        "RUN python <<EOF && \\\n  true\nFROM b AS two\nEOF\n",
        "RUN cat << EOF\nFROM b AS two\nEOF\n",
        "RUN\tcat 3<<EOF\nFROM b AS two\nEOF\n",
        "RUN <<'THE END'\nFROM b AS two\nTHE END\n",
        "run <<EOF\r\nFROM b AS two\r\nEOF\r\n",
        "ONBUILD RUN <<EOF\nFROM b AS two\nEOF\n",
        "RUN <<EOF\nFROM b AS two \\\nEOF\n",
        "RUN <<EOF\n# FROM b AS two\n EOF\n\tEOF\nFROM c AS three\nEOF\n",
    ],
)
def test_parse_dockerfile_ignores_heredocs(heredoc: str) -> None:
    assert names(f"FROM a AS one\n{heredoc}FROM z AS last\n") == ("one", "last")


@pytest.mark.parametrize(
    "run",
    [
        "RUN cat <<<EOF",
        'RUN echo "<<EOF"',
        "RUN echo 'see <<EOF'",
        "RUN echo a\\<<EOF b<<EOF",
        "RUN echo $((1 << 3)) $((1<<3))",
        'RUN ["cat", "<<EOF"]',
        'COPY ["a <<b", "<<c"]',
        "ENV A=<<EOF",
        "# RUN <<EOF",
    ],
)
def test_parse_dockerfile_ignores_what_only_looks_like_a_heredoc(run: str) -> None:
    assert names(f"FROM a AS one\n{run}\nFROM b AS two\n") == ("one", "two")


def test_parse_dockerfile_names_the_line_of_a_heredoc_without_end() -> None:
    with pytest.raises(ConfigError, match="Dockerfile:2: the heredoc <<EOF never ends"):
        names("FROM a AS one\nRUN <<EOF\nFROM b AS two\n EOF\n")


def test_parse_dockerfile_joins_a_word_that_a_continuation_cuts() -> None:
    assert names("FR\\\nOM a A\\  \nS one\n") == ("one",)


def test_parse_dockerfile_continues_no_line_after_a_doubled_escape_character() -> None:
    assert names("FROM a AS one\nRUN dir C:\\\\\nFROM b AS two\n") == ("one", "two")


def test_parse_dockerfile_reads_a_byte_order_mark_and_windows_lines() -> None:
    assert names("\ufeffFROM a AS one\r\nFROM \\\r\n b AS two\r\n") == ("one", "two")


def test_parse_dockerfile_ends_a_line_only_at_a_line_feed() -> None:
    assert names("FROM a AS one\nRUN echo \x0cFROM b AS two\n") == ("one",)


def test_parse_dockerfile_names_both_lines_of_a_doubled_name() -> None:
    with pytest.raises(ConfigError, match="Dockerfile:3: the stage 'one' already exists, in line 1"):
        names("FROM a AS one\n\nFROM b as ONE\n")


def test_parse_dockerfile_names_the_line_of_an_invalid_from() -> None:
    with pytest.raises(ConfigError, match="Dockerfile:2: cannot be read: FROM a is one"):
        names("# hello\nFROM a is one\n")


@pytest.mark.parametrize("stage", ["1st", "a/b", "-a", "$NAME"])
def test_parse_dockerfile_names_the_line_of_an_invalid_name(stage: str) -> None:
    with pytest.raises(ConfigError, match=r"Dockerfile:2: .* cannot be a stage's name"):
        names(f"FROM a\nFROM b AS {stage}\n")


def test_parse_dockerfile_refuses_an_unknown_escape_character() -> None:
    with pytest.raises(ConfigError, match="Dockerfile:2: the escape character"):
        names("# syntax=docker/dockerfile:1\n# escape=^\nFROM a AS one\n")


@pytest.mark.parametrize("text", ["", "# nothing\n", "ARG A=b\n"])
def test_parse_dockerfile_refuses_a_file_without_from(text: str) -> None:
    with pytest.raises(ConfigError, match="there is no FROM"):
        names(text)


def test_raise_if_unknown_suggests_a_stage() -> None:
    raise_if_unknown("tester", ("release", "tester"))
    with pytest.raises(UsageError, match="'testr'") as told:
        raise_if_unknown("testr", ("release", "tester"))
    assert "release, tester" in told.value.cause
    assert "'tester'" in told.value.hint


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("FROM a AS release\nUSER app\nUSER other\n", "other"),
        ("FROM a AS base\nUSER app\nFROM base AS release\nRUN x\n", "app"),
        ("FROM a AS base\nUSER app\nFROM b AS release\nRUN x\n", None),
        ("FROM release AS release\nRUN x\n", None),
        ("FROM --platform=linux/amd64 BASE as base\nuser app:app\nFROM Base AS release\n", "app:app"),
    ],
)
def test_user_of_follows_the_stages_that_a_stage_is_made_of(text: str, user: str | None) -> None:
    assert user_of(parse_dockerfile(text, "Dockerfile"), "release") == user


DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=python
FROM ${BASE} AS runner
RUN one \\
    # why
    two

FROM runner AS Builder
RUN build
FROM scratch AS files
FROM runner AS release
COPY --from=builder /venv /venv
RUN --mount=type=bind,from=files,target=/f true
FROM release AS tester
COPY --from=other /a /b
FROM solr AS solr
COPY <<EOF /core.properties
name=core
EOF
FROM solr
COPY --from=1 /x /y
"""


def needed(text: str, *wanted: str) -> str:
    return required_instructions(parse_dockerfile(text, "Dockerfile"), "Dockerfile", wanted, ARGUMENTS)


def test_required_instructions_have_the_stages_that_a_stage_is_made_of() -> None:
    assert needed(DOCKERFILE, "release") == (
        "ARG BASE=python\nFROM ${BASE} AS runner\nRUN one two\nFROM runner AS Builder\nRUN build\n"
        "FROM scratch AS files\nFROM runner AS release\nCOPY --from=builder /venv /venv\n"
        "RUN --mount=type=bind,from=files,target=/f true"
    )


def test_required_instructions_have_heredocs() -> None:
    assert needed(DOCKERFILE, "solr").endswith("COPY <<EOF /core.properties\nname=core\nEOF")
    other = DOCKERFILE.replace("name=core", "name=other")
    assert needed(other, "solr") != needed(DOCKERFILE, "solr")


def test_required_instructions_find_a_stage_without_a_name_by_its_number() -> None:
    text = "FROM a\nRUN unnamed\nFROM b AS release\nCOPY --from=0 /x /y\nFROM c AS unused\nRUN unused\n"
    assert needed(text, "release") == "FROM a\nRUN unnamed\nFROM b AS release\nCOPY --from=0 /x /y"


def test_required_instructions_find_a_stage_with_a_name_by_its_number() -> None:
    text = "FROM a AS builder\nRUN build\nFROM b AS release\nCOPY --from=0 /x /y\n"
    assert "RUN build" in needed(text, "release")


@pytest.mark.parametrize("argument", ["${B}", "$B"])
def test_required_instructions_find_a_stage_behind_a_build_argument(argument: str) -> None:
    text = f"ARG B=builder\nFROM a AS builder\nRUN build\nFROM {argument} AS release\n"
    assert "RUN build" in needed(text, "release")


def test_required_instructions_name_a_missing_stage() -> None:
    with pytest.raises(ConfigError, match="there is no stage 'solr'"):
        needed("FROM a AS release\n", "release", "solr")


def test_required_instructions_keep_blanks_in_quotes_only() -> None:
    one, other = "FROM a AS release\nRUN x    y\n", "FROM a AS release\nRUN x y\n"
    assert needed(one, "release") == needed(other, "release")
    one, other = one.replace("x    y", "'x    y'"), other.replace("x y", "'x y'")
    assert needed(one, "release") != needed(other, "release")


def test_required_instructions_ignore_comments_and_other_stages() -> None:
    before = needed(DOCKERFILE, "release", "solr")
    text = DOCKERFILE.replace("# why", "# because").replace("/a /b", "/c /d")
    assert needed(text, "release", "solr") == before


def test_required_instructions_change_with_a_stage_behind_a_default() -> None:
    text = "ARG FLAVOR=plain\nFROM s AS solr-plain\nRUN one\nFROM solr-${FLAVOR:-plain} AS solr\n"
    assert needed(text, "solr") != needed(text.replace("one", "two"), "solr")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN x a\\  b", "RUN x a\\ b"),
        ("ENV NAME a  b", "ENV NAME a b"),
        ("WORKDIR /a  b", "WORKDIR /a b"),
        ("LABEL name a  b", "LABEL name a b"),
    ],
)
def test_required_instructions_keep_blanks_that_mean_something(one: str, other: str) -> None:
    assert needed(f"FROM a AS solr\n{one}\n", "solr") != needed(f"FROM a AS solr\n{other}\n", "solr")


def test_parse_dockerfile_finds_the_stages_that_buildkit_finds() -> None:
    assert len(ACCEPTED) > 200
    for file in ACCEPTED:
        stages = parse_dockerfile(file["text"], "Dockerfile").stages
        assert [[stage.name or "", stage.line] for stage in stages] == file["stages"], file["text"]


def test_required_stages_are_those_that_buildkit_builds() -> None:
    for file in ACCEPTED:
        parsed = parse_dockerfile(file["text"], "Dockerfile")
        numbers = {stage.name: at for at, stage in enumerate(parsed.stages)}
        for target, wanted in file["needed"].items():
            found = required_stages(parsed, [numbers[target]], ARGUMENTS)
            assert found >= set(wanted), file["text"]
            if not MAY_BE_WIDE.search(file["text"]):
                assert found == set(wanted), file["text"]


@pytest.mark.parametrize(
    "line",
    [
        "FROM ${FLAVOR!x} AS solr",  # no substitution of BuildKit's
        "FROM ${FLAVOR AS solr",
        "FROM 'plain AS solr",
        "FROM s AS solr\nCOPY --from=$FLAVOR /a /b",
        'FROM s AS solr\nRUN --mount=type=bind,\\"from=plain true',
    ],
)
def test_required_instructions_have_every_stage_where_one_cannot_be_read(line: str) -> None:
    assert "RUN one" in needed(f"ARG FLAVOR=plain\nFROM s AS plain\nRUN one\n{line}\n", "solr")


def test_required_instructions_have_every_stage_where_an_argument_cannot_be_read() -> None:
    assert "RUN one" in needed('ARG A="plain\nFROM s AS plain\nRUN one\nFROM $A AS solr\n', "solr")


def test_required_instructions_have_the_stages_of_every_platform() -> None:
    stages = "FROM a AS x-amd64\nRUN one\nFROM a AS x-arm64\nRUN two\nFROM a AS y\nRUN no\n"
    found = needed(f"{stages}FROM x-$TARGETARCH AS solr\n", "solr")
    assert "RUN one" in found
    assert "RUN two" in found
    assert "RUN no" not in found
