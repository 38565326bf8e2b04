"""The index key: what changes it, what does not, and the document that an image carries."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import sqlite3
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.errors import ConfigError, DumpError
from haybale.index.key import (
    CHUNK,
    FILE_DIGEST_LENGTH,
    FORMAT_VERSION,
    KEY_LENGTH,
    Component,
    Key,
    compute_key,
    digest_file,
    digest_parts,
    loader_digest,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


FILES = {
    "pyproject.toml": '[tool.haybale]\nname = "site"\nregistry = "r.example/site"\ncore = "site"\n'
    'solr_conf = "solr_conf"\n'
    'dockerfile = "Dockerfile"\nsite.folder = "web"\nstages = {release = "release", solr = "solr"}\n'
    'compose = {solr = "docker-compose.solr.yml", ci = "docker-compose.ci.yml"}\n'
    'requirements.production = "web/requirements.prod.txt"\n',
    ".bumpversion.cfg": "[bumpversion]\ncurrent_version = 1.2.3\n",
    "Dockerfile": (
        "ARG PYTHON_IMAGE\nFROM ${PYTHON_IMAGE} AS runner\nRUN runner\n"
        "FROM runner AS release\nCOPY web /app\nFROM release AS tester\nRUN tests\n"
        "FROM solr AS solr\nCOPY solr_conf /conf\n"
    ),
    "docker-compose.solr.yml": "services: {}\n",
    "docker-compose.ci.yml": "services: {}\n",
    "README.md": "words\n",
    "solr_conf/schema.xml": "<schema/>\n",
    "solr_conf/lang/stopwords.txt": "a\nthe\n",
    "web/manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf")\n',
    "web/conf.py": "DEBUG = False\n",
    "web/requirements.prod.txt": "django==5.2\n",
    "web/requirements.txt": "django==5.2\npytest==9\n",
    "web/app/search_indexes.py": "from app.models import Note\n",
    "web/app/models.py": "class Note: pass\n",
    "web/app/migrations/0001_initial.py": "operations = []\n",
    "web/app/views.py": "def index(): pass\n",
    "web/app/templates/search/indexes/app/note_text.txt": "{{ object }}\n",
    "web/app/templates/page.html": "<html>\n",
    "web/data/topics.json": "[]\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        write(tmp_path / path, text)
    (tmp_path / "dumps").mkdir()
    database(tmp_path / "dumps/site_1.sqlite3", "first")
    (tmp_path / "dumps/site_latest.sqlite3").symlink_to("site_1.sqlite3")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def database(file: Path, text: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE word (text)")
        connection.execute("INSERT INTO word VALUES (?)", [text])
    connection.close()


def key_at(root: Path, **env: str) -> Key:
    return compute_key(config.load(root, env))


def changed(before: Key, after: Key) -> list[str]:
    return [name for name in after.components if after.components[name] != before.components[name]]


@pytest.mark.parametrize(
    ("path", "component"),
    [
        ("solr_conf/schema.xml", "solr-conf"),
        ("solr_conf/lang/stopwords.txt", "solr-conf"),
        ("web/app/search_indexes.py", "index-code"),
        ("web/app/models.py", "index-code"),
        ("web/app/migrations/0001_initial.py", "index-code"),
        ("web/app/templates/search/indexes/app/note_text.txt", "templates"),
        ("web/conf.py", "settings"),
        ("web/requirements.prod.txt", "lock"),
        ("docker-compose.solr.yml", "environment"),
    ],
)
def test_compute_key_changes_one_component_for_an_input(root: Path, path: str, component: str) -> None:
    before = key_at(root)
    with (root / path).open("a", encoding="utf-8") as file:
        file.write("# more\n")
    after = key_at(root)
    assert after.value != before.value
    assert changed(before, after) == [component]


def test_compute_key_has_what_is_adapted_to_solr_9(root: Path) -> None:
    config_file = root / "solr_conf/solrconfig.xml"
    write(config_file, "<config><luceneMatchVersion>9</luceneMatchVersion>\n</config>")
    before = key_at(root)
    assert "upgrade" not in before.components
    cache = '<query><filterCache class="solr.LRUCache"/></query></config>'
    write(config_file, config_file.read_text(encoding="utf-8").replace("</config>", cache))
    after = key_at(root)
    assert after.components["upgrade"].value == (
        'solr_conf/solrconfig.xml:2: solr.LRUCache is not in Solr 9; class="solr.CaffeineCache"'
    )
    assert after.components["serving"] == before.components["serving"]


def test_compute_key_counts_what_is_mounted_and_where(root: Path) -> None:
    def mounted(target: str) -> Key:
        write(root / "pyproject.toml", FILES["pyproject.toml"] + f'site.mounts = ["local.py:{target}"]\n')
        return key_at(root)

    write(root / "local.py", "DEBUG = True\n")
    before, elsewhere = mounted("/app/local.py"), mounted("/app/conf/local.py")
    assert changed(before, elsewhere) == ["variables"]
    write(root / "local.py", "DEBUG = False\n")
    assert changed(before, mounted("/app/local.py")) == ["environment"]


def test_compute_key_counts_the_package_that_a_dockerfile_installs(root: Path) -> None:
    def key_of(project: str, haybale: str = "") -> Key:
        kept = FILES["pyproject.toml"].replace('requirements.production = "web/requirements.prod.txt"\n', "")
        write(root / "pyproject.toml", f"[project]\ndependencies = [{project}]\n{kept}{haybale}")
        return key_at(root)

    before = key_of('"django==5.2"')
    assert changed(before, key_of('"django==5.3"')) == ["lock"]
    assert changed(before, key_of('"django==5.2"', "index.batch = 7\n")) == []
    write(root / "setup.py", "setup()\n")
    assert changed(before, key_of('"django==5.2"')) == ["lock"]


def test_compute_key_does_not_count_the_index_in_a_core_s_own_folder(root: Path) -> None:
    write(root / "solr_conf/core.properties", "name=site\n")
    before = key_at(root)
    write(root / "solr_conf/data/index/segments_1", "")
    assert key_at(root) == before
    write(root / "solr_conf/core.properties", "name=site\nsolr.lock.type=none\n")
    assert key_at(root) != before


def test_compute_key_counts_what_the_requirements_include(root: Path) -> None:
    write(root / "web/requirements.prod.txt", "-r base.txt\n./own\n")
    write(root / "web/base.txt", "django==5.2\n")
    write(root / "web/own/setup.py", "")
    assert {*key_at(root).components["lock"].files} == {
        "web/requirements.prod.txt", "web/base.txt", "web/own/setup.py",
    }  # fmt: skip


def test_compute_key_counts_a_lock_without_what_stands_beside_it(root: Path) -> None:
    settings = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root / "pyproject.toml", settings.replace("web/requirements.prod.txt", "uv.lock"))
    write(root / "uv.lock", "version = 1\n")
    assert {*key_at(root).components["lock"].files} == {"uv.lock"}


@pytest.mark.parametrize(
    "path",
    [
        "README.md", ".bumpversion.cfg", "docker-compose.ci.yml", "web/app/views.py",
        "web/app/templates/page.html", "web/data/topics.json", "web/requirements.txt", "web/manage.py",
    ],
)  # fmt: skip
def test_compute_key_ignores_other_files(root: Path, path: str) -> None:
    before = key_at(root)
    with (root / path).open("a", encoding="utf-8") as file:
        file.write("# more\n")
    assert key_at(root) == before


def new_file(root: Path) -> None:
    write(root / "solr_conf/new.txt", "")


def gone(root: Path) -> None:
    (root / "solr_conf/lang/stopwords.txt").unlink()


def renamed(root: Path) -> None:
    (root / "solr_conf/lang/stopwords.txt").rename(root / "solr_conf/lang/words.txt")


def other_core(root: Path) -> None:
    edit(root / "pyproject.toml", 'core = "site"', 'core = "other"')


def other_base(root: Path) -> None:
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('[tool.haybale.images]\nsolr = "solr:9.10.2-slim"\n')


def other_stage(root: Path) -> None:
    edit(root / "Dockerfile", "RUN runner", "RUN other")


def no_configuration(root: Path) -> None:
    edit(root / "pyproject.toml", 'solr_conf = "solr_conf"', "")


def other_folder(root: Path) -> None:
    (root / "solr_conf/lang").rename(root / "lang")
    (root / "solr_conf/lang").symlink_to("../lang")
    write(root / "lang/stopwords.txt", "der\ndie\n")


def other_settings(root: Path) -> None:
    write(root / "web/prod.py", "DEBUG = False\n")
    edit(root / "docker-compose.solr.yml", "{}", "{web: {environment: {DJANGO_SETTINGS_MODULE: prod}}}")


def other_dump(root: Path) -> None:
    database(root / "dumps/site_2.sqlite3", "second")
    link(root, "site_2.sqlite3")


def extra_input(root: Path) -> None:
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('[tool.haybale.index]\ninputs = ["web/data/*.json"]\n')


@pytest.mark.parametrize(
    ("change", "component"),
    [
        (new_file, "solr-conf"),
        (gone, "solr-conf"),
        (renamed, "solr-conf"),
        (other_folder, "solr-conf"),
        (no_configuration, "solr-conf"),
        (other_core, "core"),
        (other_base, "bases"),
        (other_stage, "dockerfile"),
        (other_settings, "settings environment"),
        (other_dump, "dump"),
        (extra_input, "extra"),
    ],
)
def test_compute_key_notices_changed_inputs(
    root: Path, change: Callable[[Path], None], component: str
) -> None:
    before = key_at(root)
    change(root)
    after = key_at(root)
    assert after.value != before.value
    assert changed(before, after) == component.split()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def link(root: Path, target: str) -> None:
    (root / "dumps/site_latest.sqlite3").unlink()
    (root / "dumps/site_latest.sqlite3").symlink_to(target)


def moved_dump(root: Path) -> None:
    (root / "dumps/site_1.sqlite3").rename(root / "dumps/site_9.sqlite3")
    link(root, "site_9.sqlite3")


def crlf(root: Path) -> None:
    for path in ("solr_conf/schema.xml", "web/app/models.py", "docker-compose.solr.yml"):
        file = root / path
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


def mode(root: Path) -> None:
    (root / "solr_conf/schema.xml").chmod(0o755)


def linked(root: Path) -> None:
    file = root / "solr_conf/schema.xml"
    file.rename(root / "schema.xml")
    file.symlink_to("../schema.xml")


def linked_folder(root: Path) -> None:
    (root / "solr_conf/lang").rename(root / "lang")
    (root / "solr_conf/lang").symlink_to("../lang")


def compiled(root: Path) -> None:
    write(root / "web/app/__pycache__/models.cpython-313.pyc", "")


def commented(root: Path) -> None:
    edit(root / "Dockerfile", "RUN runner", "# why\n\nRUN runner")


def tester(root: Path) -> None:
    edit(root / "Dockerfile", "RUN tests", "RUN other tests")


@pytest.mark.parametrize(
    "change", [moved_dump, crlf, mode, linked, linked_folder, compiled, commented, tester]
)
def test_compute_key_ignores_what_does_not_count(root: Path, change: Callable[[Path], None]) -> None:
    before = key_at(root)
    change(root)
    assert key_at(root) == before


def test_compute_key_takes_bases_from_the_environment(root: Path) -> None:
    pinned = f"python:3.13-slim@sha256:{'1' * 64}"
    assert key_at(root, PYTHON_IMAGE=pinned).components["bases"].value == f"{pinned} solr:9.10.1-slim"
    assert key_at(root, PYTHON_IMAGE=pinned).value != key_at(root).value


def test_compute_key_ignores_pull_request_and_registry(root: Path) -> None:
    assert key_at(root, prNum="7", REGISTRY="other.example/site") == key_at(root)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("web/requirements.prod.txt", r"requirements\.prod\.txt cannot be read"),
        ("docker-compose.solr.yml", r"docker-compose\.solr\.yml cannot be read"),
        ("Dockerfile", "Dockerfile (can't|cannot) be read"),
    ],
)
def test_compute_key_names_a_missing_input(root: Path, path: str, message: str) -> None:
    (root / path).unlink()
    with pytest.raises(ConfigError, match=message):
        key_at(root)


def test_compute_key_names_a_broken_link(root: Path) -> None:
    (root / "solr_conf/synonyms.txt").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"synonyms\.txt cannot be read"):
        key_at(root)


def test_compute_key_needs_a_dump(root: Path) -> None:
    (root / "dumps/site_1.sqlite3").unlink()
    with pytest.raises(DumpError, match="does not exist"):
        key_at(root)


def test_key_files_lists_all_inputs(root: Path) -> None:
    assert key_at(root).files == {
        "solr_conf/schema.xml", "solr_conf/lang/stopwords.txt", "web/app/search_indexes.py",
        "web/app/models.py", "web/app/migrations/0001_initial.py",
        "web/app/templates/search/indexes/app/note_text.txt", "web/conf.py", "web/requirements.prod.txt",
        "docker-compose.solr.yml",
    }  # fmt: skip


# How digests are made ------------------------------------------------------------------------------------


def test_digest_parts_keeps_parts_apart() -> None:
    every = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("c", "ab"), ()]
    digests = {digest_parts(parts) for parts in every}
    assert len(digests) == len(every)


def test_from_components_keeps_name_and_digest_apart() -> None:
    one = Component(name="a", digest=digest_parts(["x", "y"]))
    other = Component(name="ax", digest=digest_parts(["y"]))
    assert Key.from_components([one]).value != Key.from_components([other]).value


def test_from_components_ignores_their_order() -> None:
    components = [Component(name=name, digest=name * 64) for name in "abcd"]
    keys = {Key.from_components(order).value for order in itertools.permutations(components)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"a\r\nb\r\n", b"a\nb\n", True),
        (b"a\rb", b"a\nb", False),
        (b"a\r\r\n", b"a\r\n", False),
        (b"\0a\r\nb", b"\0a\nb", False),
        (b"x" * 7999 + b"\0\r\n", b"x" * 7999 + b"\0\n", False),
        (b"x" * 8000 + b"\0\r\n", b"x" * 8000 + b"\0\n", True),
        (b"x" * (CHUNK - 1) + b"\r\ny", b"x" * (CHUNK - 1) + b"\ny", True),
        (b"x" * (CHUNK - 2) + b"\r\r\ny", b"x" * (CHUNK - 2) + b"\r\ny", False),
        (b"x" * (CHUNK - 2) + b"\r\r\n", b"x" * (CHUNK - 3) + b"x\r\r\n", True),
        (b"x" * (CHUNK - 1) + b"\r", b"x" * (CHUNK - 1) + b"\n", False),
        (b"", b"\n", False),
    ],
)
def test_digest_file_ignores_line_ends_of_text_only(one: bytes, other: bytes, same: bool) -> None:
    digests = [digest_file(io.BytesIO(content)) for content in (one, other)]
    assert (digests[0] == digests[1]) == same


# The document --------------------------------------------------------------------------------------------


def test_compute_key_counts_how_a_configuration_is_made_where_the_site_keeps_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_configuration(root)
    found = key_at(root)
    assert not any(path.startswith("solr_conf/") for path in found.files)
    monkeypatch.setattr("haybale.index.key.source_texts", lambda: ("another template",))
    assert changed(found, key_at(root)) == ["solr-conf"]


def test_to_json_has_every_component(root: Path) -> None:
    found = key_at(root)
    document = json.loads(found.to_json())
    assert list(document) == ["format", "key", "components"]
    assert (document["format"], document["key"]) == (FORMAT_VERSION, found.value)
    assert list(document["components"]) == sorted(found.components)
    assert document["components"]["core"] == {"digest": found.components["core"].digest, "value": "site"}
    assert list(document["components"]["solr-conf"]["files"]) == [
        "solr_conf/lang/stopwords.txt", "solr_conf/schema.xml",
    ]  # fmt: skip


def test_from_json_returns_the_same_key(root: Path) -> None:
    found = key_at(root)
    again = Key.from_json(found.to_json())
    assert again == found
    assert again.to_json() == found.to_json()


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"format": 1}', '{"format": 1, "key": "a", "components": {}}', "null"],
)
def test_from_json_refuses_other_texts(text: str) -> None:
    with pytest.raises(ConfigError, match="this is not an index key"):
        Key.from_json(text)


def test_from_json_refuses_another_format() -> None:
    with pytest.raises(ConfigError, match="has format 2, not 1"):
        Key.from_json('{"format": 2, "key": "a", "components": {}}')


def test_to_json_of_a_thousand_files_fits_into_a_label() -> None:
    """A command line holds 128 KiB in one argument (Linux, MAX_ARG_STRLEN), and labels are given on one."""
    files = {
        f"web/an_application/with/deep/folders/module_{number}.py": "0" * FILE_DIGEST_LENGTH
        for number in range(1000)
    }
    found = Key.from_components([Component(name="index-code", digest="0" * 64, files=files)])
    assert len(found.to_json().encode()) < 100_000


def test_key_is_a_valid_tag(root: Path) -> None:
    assert len(key_at(root).value) == KEY_LENGTH
    assert set(key_at(root).value) <= set("0123456789abcdef")


def test_loader_digest_is_of_documents_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = tmp_path / "loader"
    shutil.copytree(str(resources.files("haybale.loader")), loader)
    monkeypatch.setattr(resources, "files", lambda _: loader)
    before = loader_digest()
    for file in ("checks/sample.py", "checks/audit.py", "worker_pool.py", "events.py"):
        (loader / file).write_text("changed\n")
    assert loader_digest() == before
    (loader / "documents/encoding.py").write_text("changed\n")
    assert loader_digest() != before
