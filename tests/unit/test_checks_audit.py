"""The audit in the site's container: what counts as read, and what is known.

The hook is called as Python calls it; it is never installed here, for it could not be taken away again.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from haybale.loader.checks.audit import Audit
from haybale.loader.checks.known_inputs import KnownInputs, compile_globs, library_folders, read_known_inputs
from haybale.loader.documents.django_setup import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable


READ = os.O_RDONLY | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
BOTH = os.O_RDWR | os.O_CLOEXEC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a site's folder with a few files."""
    for name in ("barn/topics.json", "barn/search_indexes.py", "barn/other.py", ".venv/lib/thing.py"):
        file = tmp_path / "web" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return tmp_path / "web"


def auditing(folder: Path, inputs: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> Audit:
    roots = ("/usr", "/etc", str(folder / ".venv"))
    return Audit(KnownInputs(str(folder), frozenset(inputs), compile_globs(ignore), roots))


def found(audit: Audit, *databases: dict[str, Any]) -> list[tuple[str, str]]:
    report = audit.report(databases)
    assert report["total"] == len(report["findings"])
    return [(finding["kind"], finding["what"]) for finding in report["findings"]]


def prepared(audit: Audit, *events: tuple[Any, ...]) -> list[tuple[str, str]]:
    with audit.preparing("barn.Bale"):
        for event, *args in events:
            audit.handle_event(event, tuple(args))
    assert not audit.problem
    return found(audit)


def test_audit_finds_a_file_that_is_no_input_once(folder: Path) -> None:
    path = str(folder / "barn/topics.json")
    again = os.path.relpath(path)
    events = [("open", each, "r", READ) for each in (path, path, Path(path), path.encode(), again)]
    assert prepared(auditing(folder), *events) == [("file", "barn/topics.json")]


@pytest.mark.parametrize(
    ("inputs", "ignore"),
    [
        (("barn/topics.json",), ()),
        ((), ("barn/topics.json",)),
        ((), ("barn/*.json",)),
        ((), ("**/*.json",)),
        ((), ("barn/**",)),
        ((), ("barn",)),
    ],
)
def test_audit_ignores_inputs_and_what_is_ignored(
    folder: Path, inputs: tuple[str, ...], ignore: tuple[str, ...]
) -> None:
    path = str(folder / "barn/topics.json")
    assert prepared(auditing(folder, inputs, ignore), ("open", path, "r", READ)) == []


@pytest.mark.parametrize("ignore", ["*.json", "barn/?.json", "bar", "topics.json", "barn/topicsXjson"])
def test_compile_globs_matches_nothing_else(folder: Path, ignore: str) -> None:
    path = str(folder / "barn/topics.json")
    assert prepared(auditing(folder, ignore=(ignore,)), ("open", path, "r", READ))


def test_audit_ignores_folders_libraries_and_missing_files(folder: Path) -> None:
    assert (
        prepared(
            auditing(folder),
            ("open", str(folder / "barn/missing.json"), "r", READ),
            ("open", str(folder / "barn"), None, READ),
            ("open", 3, "r", READ),
            ("open", "/etc/hostname", "r", READ),
            ("open", str(folder / ".venv/lib/thing.py"), "r", READ),
            ("os.listdir", str(folder)),
        )
        == []
    )


def test_audit_names_a_file_outside_by_its_full_path(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("")
    assert prepared(auditing(folder), ("open", str(outside), "r", READ)) == [("file", str(outside))]
    ignored = auditing(folder, ignore=(f"{tmp_path}/*.txt",))
    assert prepared(ignored, ("open", str(outside), "r", READ)) == []


def test_known_inputs_with_a_site_in_a_folder_of_the_system() -> None:
    known = KnownInputs("/usr/src/app", frozenset(), compile_globs(()), ("/usr", "/usr/src/app/.venv"))
    assert known.name("/usr/src/app/a.json") == "a.json"
    assert known.name("/usr/src/other/a.json") is None
    assert known.name("/usr/src/app/.venv/a.json") is None
    assert known.name("/usr/src/app.json") is None
    assert known.name("/user/a.json") == "/user/a.json"


def test_known_inputs_knows_what_is_mounted_by_its_absolute_path() -> None:
    known = KnownInputs("/app", frozenset({"/app/local.py", "/run/secrets/x"}), compile_globs(()), ())
    assert (known.name("/app/local.py"), known.name("/run/secrets/x")) == (None, None)
    assert (known.name("/app/other.py"), known.name("/run/secrets/y")) == ("other.py", "/run/secrets/y")


def test_known_inputs_with_a_site_that_is_its_own_virtual_environment() -> None:
    known = KnownInputs("/app", frozenset(), compile_globs(()), ("/app", "/app/lib/python3.12"))
    assert known.name("/app/a.json") == "a.json"
    assert known.name("/app/lib/python3.12/json.py") is None


def test_audit_knows_a_link_by_its_name_or_its_target(folder: Path) -> None:
    link = folder / "latest.json"
    link.symlink_to("barn/topics.json")
    event = ("open", str(link), "r", READ)
    assert prepared(auditing(folder), event) == [("file", "latest.json")]
    assert prepared(auditing(folder, ("latest.json",)), event) == []
    assert prepared(auditing(folder, ("barn/topics.json",)), event) == []


@pytest.mark.parametrize(
    "path",
    [
        "barn/other.py",
        "barn/__pycache__/other.cpython-312.pyc",
        "barn/__pycache__/other.cpython-39.opt-1.pyc",
    ],
)
def test_audit_names_a_compiled_module_by_its_source(folder: Path, path: str) -> None:
    file = folder / path
    file.parent.mkdir(exist_ok=True)
    file.touch()
    event = ("open", str(file), "rb", READ)
    assert prepared(auditing(folder), event) == [("module", "barn/other.py")]
    assert prepared(auditing(folder, ("barn/other.py",)), event) == []


def test_audit_ignores_what_the_process_wrote_itself(folder: Path) -> None:
    cache, aside, target = str(folder / "cache"), str(folder / "aside"), str(folder / "target")
    audit = auditing(folder)
    audit.handle_event("open", (aside, None, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    Path(aside).touch()
    audit.handle_event("os.rename", (aside, target, -1, -1))
    Path(aside).rename(target)
    Path(cache).touch()
    events = [("open", cache, "w", WRITE), ("open", cache, "r", READ), ("open", target, "r", READ)]
    assert prepared(audit, *events) == []


def test_audit_finds_a_file_that_is_opened_to_change_it(folder: Path) -> None:
    path = str(folder / "barn/topics.json")
    assert prepared(auditing(folder), ("open", path, "r+", BOTH)) == [("file", "barn/topics.json")]
    assert prepared(auditing(folder), ("open", path, "a", os.O_WRONLY | os.O_APPEND | os.O_CREAT)) == []


def test_audit_ignores_other_threads_and_other_phases(folder: Path) -> None:
    audit = auditing(folder)
    event = ("open", (str(folder / "barn/topics.json"), "r", READ))
    audit.handle_event(*event)
    with audit.preparing("barn.Bale"):
        other = threading.Thread(target=audit.handle_event, args=event)
        other.start()
        other.join()
    assert found(audit) == []
    with audit.preparing("barn.Bale"):
        audit.handle_event(*event)
    assert found(audit) == [("file", "barn/topics.json")]


def execute(source: str, file: Path | str, **names: Any) -> dict[str, Any]:
    """Run a module's source as that of a file; return what it holds then."""
    exec(compile(source, str(file), "exec"), names)  # noqa: S102
    return names


def run_as(file: Path, audit: Audit, event: tuple[Any, ...], function: str = "read") -> None:
    """Call the hook from a function of a file of the site."""
    source = f"def {function}():\n    hook(*event)\n{function}()"
    execute(source, file, hook=audit.handle_event, event=event, __name__="barn.made_up")


def test_audit_finds_data_that_an_input_reads_on_import(folder: Path) -> None:
    data = ("open", (str(folder / "barn/topics.json"), "r", READ))
    module = ("open", (str(folder / "barn/other.py"), "rb", READ))
    audit = auditing(folder, ("barn/search_indexes.py",))
    with audit.starting():
        run_as(folder / "barn/other.py", audit, data)
        run_as(folder / "barn/search_indexes.py", audit, module)
        audit.handle_event(*data)
    assert found(audit) == []
    with audit.starting():
        run_as(folder / "barn/search_indexes.py", audit, data)
    (finding,) = audit.report([])["findings"]
    assert finding == {"kind": "file", "what": "barn/topics.json", "by": "import of barn/search_indexes.py"}


def import_all(module: str, function: str, read: Callable[[], None]) -> None:
    """Call `read` from a function of a module of Django's."""
    execute(f"def {function}():\n    read()\n{function}()", "/usr/django.py", read=read, __name__=module)


def test_audit_ignores_views_and_tags_that_django_imports_all(folder: Path) -> None:
    audit = auditing(folder, ("barn/search_indexes.py",))
    module = ("open", (str(folder / "barn/other.py"), "rb", READ))
    data = ("open", (str(folder / "barn/topics.json"), "r", READ))
    with audit.preparing("barn.Bale"):
        import_all(
            "django.template.backends.django", "get_template_tag_modules", lambda: audit.handle_event(*module)
        )
        for event in (module, data):
            read = functools.partial(run_as, folder / "barn/views.py", audit, event)
            import_all("django.urls.resolvers", "_", read)
    assert found(audit) == []
    with audit.preparing("barn.Bale"):
        import_all("django.urls.resolvers", "urlconf_module", lambda: audit.handle_event(*module))
        import_all(
            "django.urls.resolvers", "_", lambda: run_as(folder / "barn/search_indexes.py", audit, data)
        )
    assert found(audit) == [("module", "barn/other.py"), ("file", "barn/topics.json")]


def test_audit_finds_code_that_runs_but_not_on_import(folder: Path) -> None:
    audit = auditing(folder, ("barn/search_indexes.py",))
    known, other = (
        compile("", str(folder / "barn" / name), "exec") for name in ("search_indexes.py", "other.py")
    )
    with audit.preparing("barn.Bale"):
        assert audit._code_started(known), "needs no second look"
        names = execute("again = ran(other)", folder / "barn/views.py", ran=audit._code_started, other=other)
        assert not names["again"], "it may run later on"
        assert found(audit) == []
        assert audit._code_started(other)
    assert found(audit) == [("module", "barn/other.py")]


@pytest.mark.parametrize(
    ("function", "by"), [("prepare_topics", "prepare_topics"), ("lookup", "lookup"), ("", "barn.Bale")]
)
def test_audit_names_who_read_a_file(folder: Path, function: str, by: str) -> None:
    audit = auditing(folder)
    event = ("open", (str(folder / "barn/topics.json"), "r", READ))
    with audit.preparing("barn.Bale"):
        if function:
            run_as(folder / "barn/other.py", audit, event, function)
        else:
            audit.handle_event(*event)
    assert [finding["by"] for finding in audit.report([])["findings"]] == [by]


def test_audit_names_a_connection_by_the_host_looked_up(folder: Path) -> None:
    lookup = ("socket.getaddrinfo", "farm.example", 443, 0, 1, 0)
    named = ("socket.connect", None, ("10.0.0.7", 443))
    other = ("socket.connect", None, ("::1", 80, 0, 0))
    assert prepared(auditing(folder), lookup, named, other) == [
        ("socket", "farm.example:443"),
        ("socket", "::1:80"),
    ]
    for ignored in ("10.0.0.7:443", "farm.example:443", "*.example:443"):
        assert prepared(auditing(folder, ignore=(ignored, "::1:80")), lookup, named, other) == []
    assert prepared(auditing(folder, ignore=("10.0.0.7:44",)), named) == [("socket", "10.0.0.7:443")]


def test_audit_names_a_socket_file_by_its_path(folder: Path) -> None:
    events = [("socket.connect", None, path) for path in ("/etc/log", "\0abstract", "/run/cache.sock")]
    assert prepared(auditing(folder), *events) == [("socket", "/run/cache.sock")]


@pytest.mark.parametrize(
    "event",
    [
        ("subprocess.Popen", "cut", ["cut", "-c1"], None, None),
        ("subprocess.Popen", None, ["/usr/bin/cut"], None, None),
        ("subprocess.Popen", "/bin/sh", ["/bin/sh", "-c", "cut -c1 | cat"], None, None),
        ("subprocess.Popen", b"/usr/bin/cut", "cut -c1", None, None),
        ("os.posix_spawn", "/usr/bin/cut", ["cut"], {}),
        ("os.exec", "/usr/bin/cut", ("cut",), None),
        ("os.system", b"cut -c1"),
        ("os.system", "cut -c1 'an open quote"),
    ],
)
def test_audit_finds_a_program(folder: Path, event: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "cut" else name)
    assert prepared(auditing(folder), event) == [("program", "/usr/bin/cut")]
    assert prepared(auditing(folder, ignore=("/usr/bin/cut",)), event) == []


def test_audit_finds_a_database_that_is_not_djangos(folder: Path) -> None:
    farm = folder / "farm.sqlite3"
    farm.touch()
    audit = auditing(folder)
    names = [farm, f"file:{farm}?mode=ro", ":memory:", "", "file:x?mode=memory&cache=shared", folder / "no"]
    events = [("sqlite3.connect", name) for name in names]
    assert prepared(audit, *events) == [("database", "farm.sqlite3")]
    assert found(audit, {"ENGINE": "django.db.backends.sqlite3", "NAME": farm}) == []
    assert prepared(auditing(folder, ("farm.sqlite3",)), *events) == []


def test_report_ignores_the_server_of_djangos_database(folder: Path) -> None:
    audit = auditing(folder)
    prepared(audit, ("socket.getaddrinfo", "db", 5432), ("socket.connect", None, ("10.0.0.3", 5432)))
    engine = "django.db.backends.postgresql"
    assert found(audit, {"ENGINE": engine, "HOST": "db"}) == []
    assert found(audit, {"ENGINE": engine, "HOST": "other"}) == [("socket", "db:5432")]


def test_report_counts_all_findings_and_lists_the_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haybale.loader.checks.audit.MAX_REMEMBERED", 70)
    audit = auditing(folder)
    with audit.preparing("barn.Bale"):
        for port in range(100):
            audit.handle_event("socket.connect", (None, ("10.0.0.7", port)))
    report = audit.report([])
    assert report["total"] == 100
    assert [each["what"] for each in report["findings"]] == [f"10.0.0.7:{port}" for port in range(50)]


def test_handle_event_keeps_its_own_errors_from_the_site(folder: Path) -> None:
    audit = auditing(folder)
    with audit.preparing("barn.Bale"):
        audit.handle_event("socket.connect", (None, None))
    assert audit.problem is not None
    assert audit.problem.startswith("socket.connect: TypeError")
    assert found(audit) == []


def test_library_folders_are_those_of_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(packages), *sys.path])
    known = KnownInputs(str(tmp_path), frozenset(), compile_globs(()), library_folders())
    assert known.is_library(os.__file__)
    assert known.is_library(pytest.__file__)
    assert known.is_library(f"{PACKAGE}/load.py")
    assert known.is_library(str(packages / "thing.py"))
    assert not known.is_library(str(tmp_path / "thing.py"))


def test_read_known_inputs(tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text('{"inputs": ["a.py"], "ignore": ["b*.py"]}')
    known = read_known_inputs(str(file))
    assert known.inputs == {"a.py"}
    assert known.folder == str(Path.cwd())
    assert known.ignored.fullmatch("bc.py")
    assert read_known_inputs(None).inputs == frozenset()
