"""Write the Dockerfiles of the table: one for each feature, and mixtures of them in the shapes of public files.

    go build -o /tmp/stages . && python generate.py | /tmp/stages >cases.json

All of them are made up. The mixtures are the same ones in every run.
"""

import json
import random
import sys

MIXTURES = 140

# Each has a stage `release`, `solr` or both; `plain` and `other` are what they may be made of.
FEATURES = {
    "default": "ARG FLAVOR=plain\nFROM s AS solr-plain\nRUN one\nFROM solr-${FLAVOR:-plain} AS solr\n",
    "default of an unset argument": "ARG FLAVOR\nFROM s AS solr-plain\nFROM solr-${FLAVOR:-plain} AS solr\n",
    "default of an undeclared one": "FROM s AS solr-plain\nFROM solr-${FLAVOR:-plain} AS solr\n",
    "default for an empty value": "ARG A=\nFROM a AS plain\nFROM ${A:-plain} AS release\n",
    "dash keeps an empty value": "ARG A=\nFROM a AS plain\nFROM a AS x\nFROM x${A-plain} AS release\n",
    "dash for an unset one": "ARG A\nFROM a AS plain\nFROM ${A-plain} AS release\n",
    "plus": "ARG A=1\nFROM a AS plain\nFROM ${A:+plain} AS release\n",
    "plus of an unset one": "ARG A\nFROM a AS x\nFROM a AS xplain\nFROM x${A:+plain} AS release\n",
    "plus without a colon": "ARG A=\nFROM a AS x\nFROM a AS xplain\nFROM x${A+plain} AS release\n",
    "question mark": "ARG A=plain\nFROM a AS plain\nFROM ${A:?needed} AS release\n",
    "question mark of an unset one": "ARG A\nFROM a AS plain\nFROM ${A:?needed} AS release\n",
    "prefix": "ARG A=v1-plain\nFROM a AS plain\nFROM ${A#*-} AS release\n",
    "longest prefix": "ARG A=v1-x-plain\nFROM a AS plain\nFROM a AS x-plain\nFROM ${A##*-} AS release\n",
    "suffix": "ARG A=plain-v1\nFROM a AS plain\nFROM ${A%-*} AS release\n",
    "longest suffix": "ARG A=plain-x-v1\nFROM a AS plain\nFROM ${A%%-*} AS release\n",
    "replacement": "ARG A=pl_in\nFROM a AS plain\nFROM ${A/_/a} AS release\n",
    "replacements": "ARG A=_x_\nFROM a AS axa\nFROM ${A//_/a} AS release\n",
    "words with blanks": "ARG A\nFROM a AS plain\nFROM ${A:-a b} AS release\n",
    "an argument in quotes": 'ARG "A=plain"\nFROM a AS plain\nFROM a AS x\nFROM x$A AS release\n',
    "a brace in a default": "ARG A\nFROM a AS plain\nFROM ${A:-pl\\ain} AS release\n",
    "a dollar alone": "ARG A=x$\nFROM a AS plain\nFROM plain AS release\n",
    "a number for a name": "FROM a AS plain\nFROM plain$1 AS release\n",
    "a pattern with a slash": "ARG A=a/plain\nFROM a AS plain\nFROM ${A##*/} AS release\n",
    "an environment before FROM by ARG": "ARG HTTP_PROXY\nFROM a AS plain\nFROM ${HTTP_PROXY:-plain} AS release\n",
    "nested defaults": "ARG A\nARG B=plain\nFROM a AS plain\nFROM ${A:-${B:-other}} AS release\n",
    "nested in quotes": 'ARG A\nFROM a AS plain\nFROM ${A:-"plain"} AS release\n',
    "several arguments": "ARG A=x B=plain C\nFROM a AS plain\nFROM $B AS release\nFROM ${C:-s} AS solr\n",
    "an argument of another": "ARG A=plain\nARG B=${A}\nFROM a AS plain\nFROM $B AS release\n",
    "an argument of one after it": "ARG B=${A:-other}\nARG A=plain\nFROM a AS plain\nFROM a AS other\nFROM $B AS release\n",
    "an argument of its line": "ARG A=plain B=$A\nFROM a AS plain\nFROM $B AS release\n",
    "an argument once more": "ARG A=other\nARG A=plain\nFROM a AS plain\nFROM a AS other\nFROM $A AS release\n",
    "an argument without a value keeps it": "ARG A=plain\nARG A\nFROM a AS plain\nFROM $A AS release\n",
    "double quotes": 'ARG A="plain"\nFROM a AS plain\nFROM $A AS release\n',
    "single quotes": "ARG A='plain'\nFROM a AS plain\nFROM $A AS release\n",
    "no expansion in single quotes": "ARG B=x\nARG A='$B'\nFROM a AS x\nFROM ${A:+x} AS release\nFROM s AS solr\n",
    "expansion in double quotes": 'ARG B=plain\nARG A="$B"\nFROM a AS plain\nFROM $A AS release\n',
    "quotes in the middle": 'ARG A=pl"ai"n\nFROM a AS plain\nFROM $A AS release\n',
    "quotes around blanks": 'ARG A="two words" B=plain\nFROM a AS plain\nFROM $B AS release\n',
    "escaped": "ARG A=pl\\ain\nFROM a AS plain\nFROM $A AS release\n",
    "an escaped dollar": "ARG A=\\$B B=plain\nFROM a AS plain\nFROM ${B} AS release\n",
    "an escaped quote": 'ARG A=x\\"y B=plain\nFROM a AS plain\nFROM ${B} AS release\n',
    "an escaped blank": "ARG A=x\\ y=z B=plain\nFROM a AS plain\nFROM ${B} AS release\n",
    "quotes in FROM": 'FROM a AS plain\nFROM "plain" AS release\n',
    "an argument in quotes in FROM": 'ARG A=plain\nFROM a AS plain\nFROM "${A}" AS release\n',
    "half a name": "ARG A=la\nFROM a AS plain\nFROM p${A}in AS release\n",
    "half a name without braces": "ARG V=3\nFROM a AS base-3\nFROM base-$V AS release\n",
    "a name of a variable that goes on": "ARG A=base\nFROM a AS base-x\nFROM $A-x AS release\n",
    "small letters": "from a as plain\nfrom plain as release\ncopy --from=plain /a /b\n",
    "mixed letters": "From a As Plain\nfRoM plain aS Release\nCopY --from=PLAIN /a /b\n",
    "capitals in FROM": "FROM a AS Plain\nFROM a AS release\nCOPY --from=Plain /a /b\n",
    "a number in COPY": "FROM a\nRUN x\nFROM b AS release\nCOPY --from=0 /a /b\n",
    "a number of a named stage": "FROM a AS plain\nFROM b AS release\nCOPY --from=0 /a /b\n",
    "a number in a mount": "FROM a AS plain\nFROM b AS release\nRUN --mount=type=bind,from=plain,target=/x true\n",
    "an image in COPY": "FROM a AS plain\nFROM b AS release\nCOPY --from=ghcr.io/x/y:1 /a /b\n",
    "a build context": "FROM a AS plain\nFROM b AS solr\nCOPY --link --from=index --chown=1:1 . /data\n",
    "flags of COPY": "FROM a AS plain\nFROM b AS release\nCOPY --link --chown=1:1 --chmod=644 --from=plain /a /b\n",
    "newer flags of COPY": "FROM a AS plain\nFROM b AS release\nCOPY --parents --exclude=*.md --from=plain /a /b\n",
    "quotes around a flag": 'FROM a AS plain\nFROM b AS release\nCOPY "--from=plain" /a /b\nCOPY --from="plain" /c /d\n',
    "quotes in a flag": "FROM a AS plain\nFROM b AS release\nCOPY --from='plain' /c /d\n",
    "an escape in a flag": "FROM a AS plain\nFROM b AS release\nCOPY --from=pl\\ain /c /d\n",
    "COPY as JSON": 'FROM a AS plain\nFROM b AS release\nCOPY --from=plain ["/a b", "/c"]\n',
    "a mount": "FROM a AS plain\nFROM b AS release\nRUN --mount=from=plain,target=/x true\n",
    "a mount in capitals": "FROM a AS plain\nFROM b AS release\nRUN --mount=type=bind,FROM=Plain,target=/x true\n",
    "a mount in quotes": 'FROM a AS plain\nFROM b AS release\nRUN --mount="type=bind,from=plain,target=/x" true\n',
    "a mount with quoted fields": "FROM a AS plain\nFROM b AS release\nRUN --mount='type=bind,\"from=plain\",target=/x' true\n",
    "several mounts": (
        "FROM a AS plain\nFROM a AS other\nFROM a AS none\nFROM b AS release\n"
        "RUN --mount=type=cache,target=/c --mount=type=bind,from=plain,target=/x \\\n"
        " --mount=type=bind,source=/y,from=other,target=/y --network=none make\n"
    ),
    "a cache from a stage": "FROM a AS plain\nFROM b AS release\nRUN --mount=type=cache,from=plain,target=/x true\n",
    "a secret": "FROM a AS plain\nFROM b AS release\nRUN --mount=type=secret,id=from,required=false true\n",
    "a flag behind the command": "FROM a AS plain\nFROM b AS release\nRUN cp --from=plain x\n",
    "a platform": "FROM --platform=$BUILDPLATFORM a AS plain\nFROM b AS release\nCOPY --from=plain /a /b\n",
    "a platform with a default": "FROM --platform=${BUILDPLATFORM:-linux/amd64} a AS plain\nFROM plain AS release\n",
    "the target's architecture": "FROM a AS base-amd64\nFROM a AS base-arm64\nFROM base-${TARGETARCH} AS release\n",
    "the target's system": "FROM a AS base-linux\nFROM a AS base-windows\nFROM base-$TARGETOS AS release\n",
    "a declared platform argument": "ARG TARGETARCH\nFROM a AS base-amd64\nFROM base-${TARGETARCH} AS release\n",
    "a variant": "FROM a AS base-amd64\nFROM base-${TARGETARCH}${TARGETVARIANT} AS release\n",
    "the target's stage": "FROM a AS base-release\nFROM base-${TARGETSTAGE} AS release\n",
    "an argument of a stage": "ARG A=plain\nFROM a AS plain\nARG A=other\nFROM a AS other\nFROM $A AS release\n",
    "an environment of a stage": "ARG A=plain\nFROM a AS plain\nENV A=other\nFROM a AS other\nFROM $A AS release\n",
    "an argument only in a stage": "FROM a AS x\nARG A=plain\nFROM a AS plain\nFROM ${A:-x} AS release\n",
    "ONBUILD": "FROM a AS files\nFROM a AS plain\nONBUILD COPY --from=files /a /b\nFROM plain AS release\n",
    "ONBUILD with a mount": (
        "FROM a AS files\nFROM a AS plain\nONBUILD RUN --mount=from=files,target=/x true\nFROM plain AS release\n"
    ),
    "a later stage does not count": "FROM plain AS release\nFROM a AS plain\n",
    "its own name": "FROM solr AS solr\nRUN x\nFROM python AS python\nFROM python AS release\n",
    "scratch": "FROM scratch AS plain\nCOPY a /a\nFROM scratch AS release\nCOPY --from=plain /a /a\n",
    "a chain": "FROM a AS one\nFROM one AS two\nFROM two AS three\nFROM three AS release\nFROM two AS tester\n",
    "a diamond": (
        "FROM a AS base\nFROM base AS left\nFROM base AS right\nFROM base AS unused\nFROM base AS release\n"
        "COPY --from=left /a /a\nCOPY --from=right /b /b\n"
    ),
    "another escape character": "# escape=`\nARG A=pl`ain\nFROM a AS plain\nFROM `\n ${A} AS release\nRUN dir C:\\\n",
    "directives": "# syntax=docker/dockerfile:1\n# check=skip=all\n# escape=`\nFROM a AS plain\nFROM plain `\n AS release\n",
    "a directive too late": "# hello\n# escape=`\nFROM a AS plain\nFROM plain \\\n AS release\n",
    "a directive after a blank line": "\n# escape=`\nFROM a AS plain\nFROM plain \\\n AS release\n",
    "an unknown directive": "# hello=world\n# escape=`\nFROM a AS plain\nFROM plain \\\n AS release\n",
    "the same directive twice": "# escape=`\n# escape=\\\nFROM a AS release\n",
    "a directive with tabs": "#\tescape\t=\t`\nFROM a AS plain\nFROM plain `\n AS release\n",
    "an unknown escape character": "# escape=^\nFROM a AS release\n",
    "a byte order mark": "\ufeffFROM a AS plain\nFROM plain AS release\n",
    "a byte order mark and a directive": "\ufeff# escape=`\nFROM a AS plain\nFROM plain `\n AS release\n",
    "Windows lines": "ARG A=plain\r\nFROM a AS plain\r\nFROM \\\r\n $A AS release\r\nCOPY <<E /x\r\ny\r\nE\r\n",
    "tabs": "ARG\tA=plain\nFROM\ta\tAS\tplain\n\tFROM\t$A\tAS\trelease\n",
    "no last line feed": "FROM a AS plain\nFROM plain AS release",
    "comments in continuations": (
        "FROM a AS plain\nFROM b AS release\nRUN one \\\n# FROM plain AS no\n  # --from=plain\n\n  && two \\\n\n  three\n"
    ),
    "a continuation that ends the file": "FROM a AS plain\nFROM plain AS release\nRUN x \\\n",
    "a continuation alone": "FROM a AS plain\nFROM plain AS release\nRUN x \\\n\\\ny\n",
    "a continuation with blanks": "FROM a AS plain\nFROM plain \\  \t\n AS release\n",
    "a continuation in a name": "FROM a AS plain\nFROM pl\\\nain AS release\n",
    "a continuation in a flag": "FROM a AS plain\nFROM b AS release\nCOPY --from=pl\\\nain /a /b\n",
    "a doubled escape character": "FROM a AS plain\nRUN dir C:\\\\\nFROM plain AS release\n",
    "a heredoc": "FROM a AS plain\nFROM b AS release\nRUN <<EOF\nFROM plain AS no\nCOPY --from=plain /a /b\nEOF\n",
    "a quoted heredoc": "FROM a AS release\nCOPY <<'EOF' /x\nFROM b AS two\n$HOME\nEOF\nFROM s AS solr\n",
    "a heredoc with tabs": "FROM a AS release\nRUN <<-EOF\n\tFROM b AS two\n\tEOF\nFROM s AS solr\n",
    "two heredocs": "FROM a AS release\nCOPY <<one <<two /x/\nFROM b AS two\none\nFROM c AS x\ntwo\nFROM s AS solr\n",
    "a heredoc and a continuation": "FROM a AS release\nRUN python <<EOF && \\\n  true\nFROM b AS c\nEOF\nFROM s AS solr\n",
    "a heredoc of a flag": "FROM a AS plain\nFROM a AS release\nRUN --mount=from=plain,target=/x <<EOF\nx\nEOF\n",
    "a heredoc with a number": "FROM a AS release\nRUN cat 3<<EOF\nFROM b AS two\nEOF\nFROM s AS solr\n",
    "a heredoc with words": "FROM a AS release\nRUN cat <<'THE END'\nFROM b AS two\nTHE END\nFROM s AS solr\n",
    "a heredoc of ADD": "FROM a AS release\nADD <<EOF /x\nFROM b AS two\nEOF\nFROM s AS solr\n",
    "a heredoc of ONBUILD": "FROM a AS release\nONBUILD RUN <<EOF\nFROM b AS two\nEOF\nFROM s AS solr\n",
    "a heredoc without end": "FROM a AS release\nRUN <<EOF\nFROM b AS two\n",
    "a here string": "FROM a AS release\nRUN cat <<<EOF\nFROM s AS solr\n",
    "a heredoc in quotes": "FROM a AS release\nRUN echo '<<EOF' \"<<EOF\"\nFROM s AS solr\n",
    "a heredoc in ENV": "FROM a AS release\nENV A=<<EOF\nFROM s AS solr\n",
    "a heredoc in JSON": 'FROM a AS release\nRUN ["cat", "<<EOF"]\nFROM s AS solr\n',
    "a heredoc with an argument": "ARG A=x\nFROM a AS release\nCOPY <<EOF /${A}\nname=${A}\nEOF\nFROM s AS solr\n",
    "a backslash in a heredoc": "FROM a AS release\nRUN <<EOF\nx \\\nEOF\nFROM s AS solr\n",
    "JSON forms": 'FROM a AS release\nSHELL ["/bin/bash", "-c"]\nCMD ["a", "--from=b"]\nENTRYPOINT ["x"]\nFROM s AS solr\n',
    "HEALTHCHECK": "FROM a AS release\nHEALTHCHECK --interval=5s CMD curl -f http://localhost || exit 1\nFROM s AS solr\n",
    "a name twice": "FROM a AS plain\nFROM b AS plain\nFROM plain AS release\n",
    "a name that is no name": "FROM a AS 1plain\nFROM b AS release\n",
    "a variable in a name": "ARG A=x\nFROM a AS $A\nFROM b AS release\n",
    "four words": "FROM a AS plain more\nFROM b AS release\n",
    "two words": "FROM a plain\nFROM b AS release\n",
    "an unknown instruction": "FROM a AS release\nHELLO world\n",
    "an empty base": "ARG A\nFROM $A AS release\n",
    "a bad substitution": "ARG A=x\nFROM ${A!x} AS release\n",
    "a missing brace": "ARG A=x\nFROM ${A AS release\n",
    "an argument in a flag": "ARG A=plain\nFROM a AS plain\nFROM a AS release\nCOPY --from=$A /a /b\n",
    "an argument in a mount": "ARG A=plain\nFROM a AS plain\nFROM a AS release\nRUN --mount=from=$A,target=/a true\n",
    "instructions before FROM": "ENV A=b\nFROM a AS release\n",
    "nothing": "",
    "comments only": "# FROM a AS release\n",
    "a tag and a digest": (
        f"ARG TAG=3.13\nFROM python:${{TAG}}-slim@sha256:{'0' * 64} AS plain\nFROM plain AS release\n"
    ),
    "a registry with a port": "ARG R=localhost:5000\nFROM ${R}/x/y:1 AS plain\nFROM plain AS release\n",
    "a default with slashes": "ARG R\nFROM ${R:-docker.io/library}/python:3 AS plain\nFROM plain AS release\n",
    "an argument that haybale passes": "ARG PYTHON_IMAGE=plain\nFROM a AS plain\nFROM ${PYTHON_IMAGE} AS release\n",
    "one that is not declared": "FROM a AS plain\nFROM ${PYTHON_IMAGE:-plain} AS release\n",
    "one behind another": "ARG CORE\nFROM a AS solr-books\nFROM a AS solr-other\nFROM solr-${CORE} AS solr\n",
    "one in an argument": "ARG CORE=x\nARG B=solr-$CORE\nFROM a AS solr-books\nFROM a AS solr-x\nFROM $B AS solr\n",
}

# What haybale passes to every build.
ARGUMENTS = {"PYTHON_IMAGE": "python:3.13-slim", "SOLR_IMAGE": "solr:9.10.1-slim", "CORE": "books"}

RUNS = (
    "RUN apt-get update \\\n && apt-get install -y --no-install-recommends \\\n    # for psycopg\n    libpq-dev \\\n && rm -rf /var/lib/apt/lists/*",
    "RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt",
    'RUN set -eux; \\\n\n    echo "FROM nothing AS no"; \\\n    true',
    'RUN ["python", "-m", "compileall", "/app"]',
    "RUN <<EOF\nset -e\nFROM here\nCOPY --from=here\nEOF",
    "RUN <<-'SH' bash\n\techo '<<EOF'\n\tSH",
    "ENV PATH=/venv/bin:$PATH \\\n    LANG=C.UTF-8",
    "ENV OLD style",
    "LABEL org.example.title=\"a b\" org.example.x='y'",
    "COPY --chown=app:app . /app",
    "COPY requirements*.txt ./",
    "ADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://x.test/a /a",
    "COPY <<conf /etc/app.conf\nname = ${NAME}\nconf",
    "COPY <<a.txt <<b.txt /data/\none\na.txt\ntwo\nb.txt",
    "WORKDIR /app",
    "USER app",
    "EXPOSE 8000/tcp",
    'VOLUME ["/data"]',
    "STOPSIGNAL SIGINT",
    "HEALTHCHECK CMD curl -f http://localhost/ || exit 1",
    "ARG BUILD_DATE\nARG TARGETARCH",
    'CMD ["gunicorn", "--bind", "0.0.0.0:8000"]',
    "ENTRYPOINT exec top -b",
    "# a remark\n\n#another",
)


def mix(chance: random.Random) -> str:
    """Return a Dockerfile of five to eight stages that are made of one another in several ways."""
    names = chance.sample(["base", "builder", "deps", "assets", "files", "plain", "Runner", "venv"], 5)
    lines, arguments = [], {}
    if chance.random() < 0.5:
        lines.append("# syntax=docker/dockerfile:1")
    for number in range(chance.randint(1, 3)):
        value = chance.choice([*(name.lower() for name in names), "python:3.13", ""])
        form = chance.choice(["{0}={1}", '{0}="{1}"', "{0}='{1}'", "{0}={1} B{0}=x", "{0}"])
        arguments[f"A{number}"] = value if "{1}" in form else ""
        lines.append("ARG " + form.format(f"A{number}", value))

    def source(earlier: list[str]) -> str:
        name = chance.choice([*earlier, "debian:13", "debian:13"]).lower()
        argument = chance.choice([*arguments, "UNSET"])
        unset = f"${{UNSET-{name}}}"
        return chance.choice([
            name, name, name, f"${{{argument}:-{name}}}", f"${argument}" if arguments.get(argument) else unset,
            f"${{{argument}-{name}}}" if arguments.get(argument) else unset, f"${{UNSET:+no}}{name}",
            f"${{{argument}:+{name}}}" if arguments.get(argument) else unset, f'"{name}"',
            f"{name[:2]}${{UNSET}}{name[2:]}", f"${{UNSET:-${{{argument}:-{name}}}}}",
        ])  # fmt: skip

    made: list[str] = []
    for name in [*names, chance.choice(["", "tester"]), "solr", "release"]:
        verb, word = chance.choice([("FROM", "AS"), ("FROM", "as"), ("from", "as"), ("FROM", "As")])
        platform = chance.choice(["", "", "", "--platform=$BUILDPLATFORM ", "--platform=linux/amd64 "])
        named = f" {word} {name}" if name else ""
        gap = chance.choice([" ", " ", "  ", "\t", " \\\n    ", " \\\n  # why\n "])
        lines.append(f"{verb}{gap}{platform}{source(made)}{named}")
        lines += [chance.choice(RUNS) for _ in range(chance.randint(0, 3))]
        if made and chance.random() < 0.6:
            other = chance.choice(made)
            number = made.index(other)
            lines.append(chance.choice([
                f"COPY --from={other} /a /b",
                f"COPY --from={other.upper()} /a /b",
                f"COPY --from={number} --chown=1:1 /a /b",
                f"COPY --link \\\n  --from={other} \\\n  /a /b",
                f"RUN --mount=type=bind,from={other.lower()},source=/a,target=/b make",
                f'RUN --mount="type=bind,from={other.lower()},target=/b" <<E\nmake\nE',
                f'COPY --from="{other}" ["/a b", "/c"]',
                "COPY --from=busybox:1 /bin/sh /sh",
            ]))  # fmt: skip
        made.append(name or str(len(made)))
        if chance.random() < 0.5:
            lines.append("")
    text = "\n".join([*lines, ""])
    if chance.random() < 0.15:
        text = text.replace("\n", "\r\n")
    if chance.random() < 0.1:
        text = "\ufeff" + text
    return text


def main() -> None:
    """Write all of them as JSON."""
    chance = random.Random(20)  # noqa: S311 - no secrets
    texts = [*FEATURES.values(), *(mix(chance) for _ in range(MIXTURES))]
    json.dump({"arguments": ARGUMENTS, "files": [{"text": text} for text in texts]}, sys.stdout)


if __name__ == "__main__":
    main()
