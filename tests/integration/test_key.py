"""The index key over real histories: it changes when, and only when, the content of an input does."""

from __future__ import annotations

import functools
import io
import os
import sqlite3
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from haybale import config
from haybale.index.key import compute_key

pytestmark = pytest.mark.integration

ENV = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}  # fmt: skip

FILES = {
    "pyproject.toml": (
        '[tool.haybale]\nname = "site"\nregistry = "r.example/site"\ncore = "site"\n'
        'solr_conf = "solr_conf"\n'
        'dockerfile = "Dockerfile"\nsite.folder = "web"\nstages = {release = "release", solr = "solr"}\n'
        'compose.solr = "docker-compose.solr.yml"\nrequirements.production = "web/requirements.prod.txt"\n'
        '[tool.haybale.index]\ninputs = ["web/data/*.txt"]\n'
    ),
    ".gitignore": "/.haybale/\n",
    ".bumpversion.cfg": "[bumpversion]\ncurrent_version = 1.2.3\n",
    "Dockerfile": "FROM python AS release\nCOPY web /app\nFROM solr AS solr\n",
    "docker-compose.solr.yml": "services: {}\n",
    "README.md": "words\n",
    "web/manage.py": "",
    "web/app/views.py": "",
}
# The inputs of the small site that histories change, apart from its dump: name -> file.
INPUTS = {
    "schema": "solr_conf/schema.xml",
    "index": "web/app/search_indexes.py",
    "template": "web/app/templates/search/indexes/app/note_text.txt",
    "lock": "web/requirements.prod.txt",
    "extra": "web/data/topics.txt",
}
LINK = "dumps/site_latest.sqlite3"
Content = tuple[tuple[str, str], ...]


@functools.cache
def database(text: str) -> bytes:
    """A database with a text in it; the same bytes for the same text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "db.sqlite3")
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE word (text)")
        connection.execute("INSERT INTO word VALUES (?)", [text])
        connection.commit()
        connection.close()
        return file.read_bytes()


@dataclass
class History:
    """A repository, and what its inputs are at each of its commits, as whoever wrote them knows it."""

    root: Path
    content: dict[str, str] = field(default_factory=dict)
    known: dict[str, Content] = field(default_factory=dict)
    number: int = 0

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env={**os.environ, **ENV}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def begin(self) -> None:
        for path, text in FILES.items():
            self.write(path, text)
        self.git("init", "--quiet", "--initial-branch=main")
        for name in INPUTS:
            self.put(name, "first")
        self.put_dump("first", "site_0.sqlite3")
        self.speak("first")
        self.commit()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def put(self, name: str, text: str) -> None:
        self.write(INPUTS[name], f"# {text}\n# {text}\n")
        self.content[name] = text

    def speak(self, language: str) -> None:
        """Let a folder of Solr's configuration be a link to that of a language."""
        self.write(f"shared/{language}/stopwords.txt", f"{language}\n")
        self.link("solr_conf/lang", f"../shared/{language}")
        self.content["language"] = language

    def link(self, path: str, target: str) -> None:
        (self.root / path).unlink(missing_ok=True)
        (self.root / path).symlink_to(target)

    def put_dump(self, text: str, name: str, *, packed: bool = False) -> None:
        """Give the dump another content, file or archive; what was there before goes."""
        link = self.root / LINK
        if link.is_symlink():
            link.resolve().unlink(missing_ok=True)
            link.unlink()
        file = link.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if packed:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(zipfile.ZipInfo("db.sqlite3"), database(text))
            file.write_bytes(stream.getvalue())
        else:
            file.write_bytes(database(text))
        link.symlink_to(name)
        self.content["dump"] = text

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A commit")
        self.note()

    def note(self) -> None:
        self.known[self.git("rev-parse", "HEAD")] = tuple(sorted(self.content.items()))

    def recall(self) -> None:
        """Take over what the commit that is checked out now holds."""
        self.content = dict(self.known[self.git("rev-parse", "HEAD")])

    def another(self) -> str:
        self.number += 1
        return f"{self.number}"

    def key(self) -> str:
        return compute_key(config.load(self.root, {})).value


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(root=tmp_path / "site")
    made.begin()
    return made


# Histories that the question "is the last commit to the dump HEAD?" gets wrong ---------------------------


def test_compute_key_follows_inputs_through_commits(
    history: History,
) -> None:
    keys = [history.key()]
    for name in ("schema", "index"):
        history.put(name, "other")
        history.commit()
        keys.append(history.key())
    more = '[tool.haybale.images]\nsolr = "solr:9.10.2-slim"\n'
    history.write("pyproject.toml", FILES["pyproject.toml"] + more)
    history.commit()
    keys.append(history.key())
    assert len(set(keys)) == 4
    history.put_dump("first", "renamed.sqlite3")
    history.write("README.md", "other words\n")
    history.commit()
    assert history.key() == keys[-1]


def test_compute_key_notices_data_anywhere_in_a_push(history: History) -> None:
    """ "Is the last commit to the dump HEAD?" says no each time."""

    def last_is_head() -> bool:
        last = history.git("log", "-1", "--format=%H", "--", LINK, "dumps")
        return last == history.git("rev-parse", "HEAD")

    before = history.key()
    history.put_dump("second", "site_1.sqlite3")
    history.commit()
    history.write("README.md", "on top\n")
    history.commit()
    assert not last_is_head()
    second = history.key()
    assert second != before

    history.git("switch", "--quiet", "--create", "topic")
    history.put_dump("third", "site_2.sqlite3")
    history.commit()
    history.git("switch", "--quiet", "main")
    history.write("README.md", "meanwhile\n")
    history.commit()
    history.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
    assert not last_is_head()
    third = history.key()
    assert third not in {before, second}

    # The run of this commit is superseded by the next push's.
    history.put_dump("fourth", "site_3.sqlite3")
    history.commit()
    history.write("README.md", "the next push\n")
    history.commit()
    assert not last_is_head()
    assert history.key() not in {before, second, third}


def test_compute_key_differs_between_branches(history: History) -> None:
    main = history.key()
    history.git("switch", "--quiet", "--create", "topic")
    history.put_dump("second", "site_1.sqlite3")
    history.commit()
    assert history.key() != main
    history.git("switch", "--quiet", "main")
    assert history.key() == main


# Any history ---------------------------------------------------------------------------------------------

TEXT = st.sampled_from(["first", "a", "b"])
NAME = st.sampled_from(sorted(INPUTS))
OPERATION = st.one_of(
    st.tuples(st.just("change"), NAME, TEXT),
    st.tuples(st.just("dump"), TEXT, st.booleans()),
    st.tuples(st.just("speak"), TEXT),
    st.tuples(st.sampled_from(["keep elsewhere", "end lines otherwise", "make executable", "try"]), NAME),
    st.tuples(st.sampled_from(["unrelated", "rename", "deeper", "repack", "force", "revert", "clone"])),
    st.tuples(st.sampled_from(["merge", "squash"]), NAME, TEXT, NAME, TEXT),
)


def step(history: History, operation: tuple[object, ...], folder: Path) -> None:  # noqa: C901, PLR0912, PLR0915
    """Do one thing to a repository; afterwards `history.content` is what its inputs are."""
    match operation:
        case ("change", str(name), str(text)):
            history.put(name, text)
            history.commit()
        case ("dump", str(text), bool(packed)):
            history.put_dump(text, f"site_{history.another()}.sqlite3", packed=packed)
            history.commit()
        case ("speak", str(language)):
            history.speak(language)
            history.commit()
        case ("keep elsewhere", str(name)):
            file = history.root / INPUTS[name]
            kept = f"shared/{name}_{history.another()}"
            history.write(kept, file.read_text(encoding="utf-8"))
            history.link(INPUTS[name], os.path.relpath(history.root / kept, file.parent))
            history.commit()
        case ("end lines otherwise", str(name)):
            file = history.root / INPUTS[name]
            lines = file.read_bytes()
            old, new = (b"\r\n", b"\n") if b"\r\n" in lines else (b"\n", b"\r\n")
            file.write_bytes(lines.replace(old, new))
            history.commit()
        case ("make executable", str(name)):
            (history.root / INPUTS[name]).chmod(0o755)
            history.commit()
        case ("try", str(name)):
            before_it = history.key()
            history.put(name, "what nobody commits")
            assert history.key() != before_it
            history.git("reset", "--quiet", "--hard")
            history.recall()
        case ("unrelated",):
            history.write("README.md", history.another())
            history.write("web/app/views.py", f"x = {history.another()}\n")
            history.commit()
        case ("rename",):
            history.put_dump(history.content["dump"], f"renamed_{history.another()}.sqlite3")
            history.commit()
        case ("deeper",):
            history.put_dump(history.content["dump"], f"folder_{history.another()}/site.sqlite3")
            history.commit()
        case ("repack",):
            history.put_dump(history.content["dump"], f"site_{history.another()}.sqlite3.zip", packed=True)
            history.commit()
        case ("force",):
            if history.git("rev-list", "--count", "--first-parent", "HEAD") != "1":
                history.git("reset", "--quiet", "--hard", "HEAD~1")
                history.recall()
        case ("revert",):
            if len(history.git("rev-list", "--parents", "-1", "HEAD").split()) == 2:
                before = history.known[history.git("rev-parse", "HEAD~1")]
                # Nothing to revert where a commit changed nothing.
                if history.git("diff", "--name-only", "HEAD~1", "HEAD"):
                    history.git("revert", "--no-edit", "HEAD")
                history.content = dict(before)
                history.note()
        case ("clone",):
            for options in (["--depth=1"], ["--config=core.autocrlf=true"]):
                copy = History(root=folder / f"clone_{history.another()}")
                history.git("clone", "--quiet", *options, f"file://{history.root}", str(copy.root))
                assert copy.key() == history.key()
        case ("merge" | "squash" as kind, str(there), str(text), str(here), str(other)) if there != here:
            branch = f"topic_{history.another()}"
            history.git("switch", "--quiet", "--create", branch)
            history.put(there, text)
            history.commit()
            history.git("switch", "--quiet", "main")
            history.recall()
            history.put(here, other)
            history.commit()
            if kind == "merge":
                history.git("merge", "--quiet", "--no-ff", "--no-edit", branch)
                history.content[there] = text
                history.note()
            else:
                history.git("merge", "--quiet", "--squash", branch)
                history.content[there] = text
                history.commit()
        case _:
            pass


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(OPERATION, min_size=3, max_size=9))
@example(operations=[("rename",), ("clone",), ("change", "schema", "a"), ("revert",), ("clone",)])
@example(
    operations=[("merge", "index", "a", "lock", "b"), ("force",), ("squash", "extra", "a", "schema", "b")]
)
@example(
    operations=[
        ("keep elsewhere", "index"),
        ("end lines otherwise", "index"),
        ("speak", "a"),
        ("try", "index"),
    ]
)
@example(operations=[("keep elsewhere", "lock"), ("merge", "lock", "a", "index", "b"), ("speak", "first")])
@example(operations=[("dump", "a", True), ("repack",), ("deeper",), ("dump", "first", False), ("unrelated",)])
def test_compute_key_changes_only_with_the_content_of_inputs(operations: list[tuple[object, ...]]) -> None:
    keys: dict[Content, str] = {}
    with tempfile.TemporaryDirectory() as name:
        history = History(root=Path(name) / "site")
        history.begin()
        for operation in [("unrelated",), *operations]:
            step(history, operation, Path(name))
            content = tuple(sorted(history.content.items()))
            assert keys.setdefault(content, history.key()) == history.key(), "the same content, another key"
            assert len(set(keys.values())) == len(keys), "other content, the same key"
