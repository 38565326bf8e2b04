"""What is really read while documents are prepared, compared with what the index key knows (its inputs).

Python calls an audit hook for every file that is opened, every connection and every program that is started
(PEP 578; the table of events is in the docs of the standard library), and for code that runs
(sys.monitoring, before Python 3.12 sys.settrace). What is no input, no part of Python, of an installed
package or of the system, and was not written by this very process, is a finding.

Two phases count, both on the main thread only (documents are sent by another one):

- preparing: whatever is read;
- starting: data that the code of an input reads as it is imported. Not the modules that are imported then:
  the whole site is, and of these the code that later runs counts. It is the same later on, where Django
  imports whatever there is of a kind: all views for one URL, all template tags for one template.

A hook stays for good and sees everything that Python does, so it is quick to return, and whatever goes wrong
in it must not be the site's trouble.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import shutil
import sys
import threading
import time
from importlib.util import source_from_cache
from typing import Any, Callable, ContextManager, Iterable, Iterator, Mapping, NamedTuple
from urllib.parse import unquote, urlsplit

from ..documents.django_setup import preparing_field
from ..events import Finding, summarize
from .known_inputs import KnownInputs, read_known_inputs

# Findings that are listed.
MAX_FINDINGS = 50

# Findings, and paths, that are remembered. A site may read a file for each of a million rows.
MAX_REMEMBERED = 10_000

# Documents of a model whose code is checked, where that costs (before Python 3.12).
TRACED_DOCUMENTS = 50

MODULES = (".py", ".pyc", ".so", ".pyd")

NOT_AUDITING, STARTING, PREPARING = range(3)


class AuditResult(NamedTuple):
    """What one process saw: a plain value, to be put together with what others saw.

    Times are time.monotonic()'s, which all processes of a machine share.
    """

    findings: list[tuple[Finding, float]]
    dropped: int
    written: dict[str, float]
    problem: str | None


@functools.lru_cache(maxsize=None)
def process_audit(inputs: str | None) -> Audit:
    """Return this process's audit, which is a forked process's own from its beginning on.

    `inputs` is the file that says what may be read; None for an audit that does nothing.
    """
    audit = Audit(read_known_inputs(inputs))
    if inputs:
        audit.install()
    return audit


class Audit:
    """Collects findings. `install` switches it on; without that it does nothing."""

    def __init__(self, known: KnownInputs) -> None:
        self._known = known
        self._thread = threading.get_ident()
        self._phase = NOT_AUDITING
        self._label = ""
        self._busy = False
        self._installed = False
        self._checked_paths: set[str] = set()  # as they were given
        self._checked_code: set[str] = set()  # files whose code ran, as their code names them
        self._written: dict[str, float] = {}  # made by the site itself, and when: no input from then on
        self._looked_up: dict[Any, str] = {}  # port -> the host whose address was looked up last
        self._findings: dict[tuple[str, str], tuple[Finding, float]] = {}
        self._dropped = 0
        self._documents: dict[str, int] = {}  # of each model, whose code was checked where that costs
        self._handlers: dict[str, Callable[..., None]] = {
            "open": self._open,
            "os.rename": self._rename,
            "socket.getaddrinfo": self._getaddrinfo,
            "socket.connect": self._connect,
            "socket.sendto": self._connect,
            "sqlite3.connect": self._sqlite,
            "subprocess.Popen": self._program,
            "os.exec": self._program,
            "os.posix_spawn": self._program,
            "os.system": self._shell,
        }
        self.problem: str | None = None  # what went wrong in the audit itself, first

    def install(self) -> None:
        """Get every event from now on. There is no way back: Python removes no audit hook."""
        handlers, handle = self._handlers, self.handle_event

        def quick(event: str, args: tuple[Any, ...]) -> None:
            # Python has hundreds of thousands of events that are none of ours.
            if event in handlers:
                handle(event, args)

        self._installed = True
        sys.addaudithook(quick)

    def starting(self) -> ContextManager[None]:
        """In the block the site is imported."""
        return self._phased(STARTING, "")

    @contextlib.contextmanager
    def preparing(self, label: str) -> Iterator[None]:
        """In the block the documents of a model (app.Model) are read and prepared."""
        before = _urls_asked()
        with self._phased(PREPARING, label):
            with self._code_checked():
                yield
            if self._installed and _urls_asked() != before:
                self._check_urls()

    def _check_urls(self) -> None:
        """Check the URL patterns: addresses depend on them, also where they were imported long before."""
        try:
            for file in _url_files():
                self._check_path("module", os.path.abspath(file))
        except Exception as error:  # noqa: BLE001 - as in `handle_event`
            self.problem = self.problem or summarize(error)

    @contextlib.contextmanager
    def _phased(self, phase: int, label: str) -> Iterator[None]:
        self._phase, self._label = phase, label
        try:
            yield
        finally:
            self._phase = NOT_AUDITING

    def handle_event(self, event: str, args: tuple[Any, ...]) -> None:
        """Handle an event, as Python gives it to an audit hook; never raises."""
        handler = self._handlers.get(event)
        if handler is None or self._busy or threading.get_ident() != self._thread:
            return
        self._busy = True
        try:
            handler(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is, the site must not see it
            self.problem = self.problem or "{}: {}".format(event, summarize(error))
        finally:
            self._busy = False

    def _open(self, path: Any, _: Any, flags: int) -> None:
        if path in self._checked_paths or isinstance(path, int):
            return
        full = os.path.abspath(os.fsdecode(path))
        if flags & os.O_ACCMODE != os.O_RDONLY and self._is_created(full, flags):
            self._written.setdefault(full, time.monotonic())
            return
        if self._phase == NOT_AUDITING or flags & os.O_ACCMODE == os.O_WRONLY:
            return
        for_good = self._check_file(full) and self._phase == PREPARING
        is_absolute = isinstance(path, str) and os.path.isabs(path)
        if for_good and is_absolute and len(self._checked_paths) < MAX_REMEMBERED:
            self._checked_paths.add(path)

    @staticmethod
    def _is_created(path: str, flags: int) -> bool:
        """Return whether opening a file so leaves nothing of what it held before."""
        return bool(flags & os.O_TRUNC) or (bool(flags & os.O_CREAT) and not os.path.exists(path))

    def _rename(self, source: Any, target: Any, *_: Any) -> None:
        """Note that what was written aside is our own under its new name too."""
        if os.path.abspath(os.fsdecode(source)) in self._written:
            self._written.setdefault(os.path.abspath(os.fsdecode(target)), time.monotonic())

    def _check_file(self, path: str) -> bool:
        """Check a file that is to be read; return whether that is so for good."""
        if path in self._written or not os.path.exists(path) or os.path.isdir(path):
            return False
        if path.endswith(MODULES):
            return self._check_path("module", _source(path))
        return self._check_path("file", path)

    def _check_path(self, kind: str, path: str) -> bool:
        name = self._known.name(path)
        # The key may know a link by its target.
        if name is None or self._known.name(os.path.realpath(path)) is None:
            return True
        return self._add(kind, name)

    def _getaddrinfo(self, host: Any, port: Any, *_: Any) -> None:
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        if host:
            self._looked_up[port] = str(host)

    def _connect(self, _: Any, address: Any) -> None:
        if self._phase == NOT_AUDITING:
            return
        if isinstance(address, (str, bytes)):
            path = os.fsdecode(address)
            # An address that starts with NUL is no file (Linux' abstract sockets).
            if not path.startswith("\0"):
                self._check_path("socket", os.path.abspath(path))
            return
        host, port = str(address[0]), address[1]
        names = ["{}:{}".format(each, port) for each in (self._looked_up.get(port, host), host)]
        if not any(self._known.ignored.fullmatch(name) for name in names):
            self._add("socket", names[0])

    def _sqlite(self, database: Any) -> None:
        name = os.fsdecode(database)
        if name.startswith("file:"):
            if "mode=memory" in name:
                return
            name = unquote(urlsplit(name).path)
        if not name or name.startswith(":memory:"):
            return
        path = os.path.abspath(name)
        if not os.path.exists(path):
            self._written.setdefault(path, time.monotonic())
        elif self._phase != NOT_AUDITING and path not in self._written:
            self._check_path("database", path)

    def _program(self, program: Any, arguments: Any = (), *_: Any) -> None:
        arguments = [os.fsdecode(each) for each in arguments] if isinstance(arguments, (list, tuple)) else []
        program = os.fsdecode(program or (arguments or [""])[0])
        if os.path.basename(program) in ("sh", "bash", "dash") and arguments[1:2] == ["-c"]:
            self._shell(arguments[2])
        elif self._phase != NOT_AUDITING:
            path = shutil.which(program) or program
            if not self._known.ignored.fullmatch(path):
                self._add("program", path)

    def _shell(self, command: Any) -> None:
        """Check a shell's command by its first word: that is what it starts, in all but odd cases."""
        text = os.fsdecode(command)
        try:
            words = shlex.split(text)
        except ValueError:
            words = text.split()
        self._program((words or ["sh"])[0])

    def _add(self, kind: str, what: str) -> bool:
        """Note something that is not known; return whether it is in the report, or never will be."""
        if (kind, what) in self._findings:
            return True
        if len(self._findings) >= MAX_REMEMBERED:
            self._dropped += 1
            return False
        frames = _stack()
        if self._phase == STARTING or is_importing_all(frames):
            # What the rest of the site reads then is not the index's matter.
            file = next((each for each in map(_file, reversed(frames)) if self._is_site(each)), None)
            if kind in ("module", "program") or file is None or self._known.name(file) is not None:
                return False
            by = "import of " + os.path.relpath(file, self._known.folder)
        else:
            by = self._who(frames)
        self._findings[kind, what] = (Finding(kind, what, by), time.monotonic())
        return True

    def _is_site(self, file: str) -> bool:
        return file.startswith(self._known.folder + os.sep) and not self._known.is_library(file)

    def _who(self, frames: list[Any]) -> str:
        """Return who did it: the index's own method, else Haystack's field, else the site's function."""
        field, method = preparing_field(frames)
        if field and method in (None, "prepare"):
            # A `prepare` of the site's is around every field.
            return "field " + field
        if method:
            return method
        mine = [frame for frame in frames if self._is_site(_file(frame))]
        return mine[-1].f_code.co_name if mine else self._label

    def _code_checked(self) -> ContextManager[None]:
        """Check which code runs in the block."""
        if not self._installed:
            return contextlib.nullcontext()
        return _monitored(self._code_started) if hasattr(sys, "monitoring") else self._traced_first()

    def _code_started(self, code: Any) -> bool:
        """Check code that runs; return whether that is done for good; never raises."""
        if threading.get_ident() != self._thread or self._busy:
            return False
        if code.co_filename in self._checked_code:
            return True
        self._busy = True
        try:
            return self._check_code(code.co_filename)
        except Exception as error:  # noqa: BLE001 - as in `handle_event`
            self.problem = self.problem or summarize(error)
            return True
        finally:
            self._busy = False

    def _check_code(self, file: str) -> bool:
        path = os.path.abspath(file)
        if file.startswith("<") or not self._is_site(path):
            self._checked_code.add(file)
            return True
        # A module's own code, and what that calls, is its import, which was checked when it was opened.
        if any(each.f_code.co_name == "<module>" and self._is_site(_file(each)) for each in _stack()):
            return False
        self._check_path("module", path)
        self._checked_code.add(file)
        return True

    @contextlib.contextmanager
    def _traced_first(self) -> Iterator[None]:
        """Check the code of the first documents: before Python 3.12, that slows every call."""
        checked, label = self._checked_code, self._label

        def started(frame: Any, _: str, __: Any) -> None:
            # Returning None asks for Python's calls only; a profiler would get C's too.
            if frame.f_code.co_filename not in checked:
                self._code_started(frame.f_code)
            if frame.f_code.co_name == "full_prepare":
                self._documents[label] = self._documents.get(label, 0) + 1
                if self._documents[label] > TRACED_DOCUMENTS:
                    sys.settrace(None)

        if sys.gettrace() is not None or self._documents.get(label, 0) > TRACED_DOCUMENTS:
            # Another tracer is set, and stays; or enough was checked.
            yield
            return
        sys.settrace(started)
        try:
            yield
        finally:
            sys.settrace(None)

    def result(self) -> AuditResult:
        """Return what this process saw so far."""
        written = dict(sorted(self._written.items())[:MAX_REMEMBERED])
        return AuditResult(list(self._findings.values()), self._dropped, written, self.problem)

    def add(self, result: AuditResult) -> None:
        """Put in what another process saw."""
        for finding, when in result.findings:
            # A fork of this process has what was found before, too.
            self._findings.setdefault((finding.kind, finding.what), (finding, when))
        for path, when in result.written.items():
            self._written[path] = min(when, self._written.get(path, when))
        self._dropped += result.dropped
        self.problem = self.problem or result.problem

    def report(self, databases: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the fields of the event `unknown-inputs`.

        `databases` are Django's settings.DATABASES: what they name is the dump, which the key knows.
        """
        own, hosts = own_databases(databases)
        unknown = [
            finding
            for finding, when in self._findings.values()
            if not (finding.kind in ("database", "file") and self._is_own(finding, when, own))
            and not (finding.kind == "socket" and finding.what.rpartition(":")[0] in hosts)
        ]
        findings = [each._asdict() for each in unknown[:MAX_FINDINGS]]
        return {"findings": findings, "total": len(unknown) + self._dropped}

    def _is_own(self, finding: Finding, when: float, databases: set[str]) -> bool:
        """Return whether a file is a database, or another process of the site's had made it before."""
        path = os.path.join(self._known.folder, finding.what)
        return path in databases or self._written.get(path, when) < when


def own_databases(databases: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Return the files and the hosts of Django's databases."""
    files, hosts = set(), set()
    for database in databases:
        if "sqlite" in str(database.get("ENGINE", "")) or "spatialite" in str(database.get("ENGINE", "")):
            files.add(os.path.abspath(str(database.get("NAME", ""))))
        else:
            hosts.add(str(database.get("HOST") or "localhost"))
    return files, hosts


@contextlib.contextmanager
def _monitored(is_checked: Callable[[Any], bool]) -> Iterator[None]:
    """Call `is_checked` with each code object that starts, until it returns True. Source: PEP 669."""
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - unknown to a type checker for 3.11
    tool = next((each for each in (4, 3, 5, 1) if monitoring.get_tool(each) is None), None)
    if tool is None:
        yield
        return

    def started(code: Any, _: int) -> Any:
        return monitoring.DISABLE if is_checked(code) else None

    monitoring.use_tool_id(tool, "haybale")
    monitoring.register_callback(tool, monitoring.events.PY_START, started)
    monitoring.set_events(tool, monitoring.events.PY_START)
    try:
        yield
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.PY_START, None)
        monitoring.free_tool_id(tool)


def _urls_asked() -> int:
    """Return how often Django was asked for its URL patterns (django/urls/resolvers.py, get_resolver)."""
    resolvers = sys.modules.get("django.urls.resolvers")
    cached: Any = getattr(resolvers, "_get_cached_resolver", None)
    if not hasattr(cached, "cache_info"):
        return 0
    asked = cached.cache_info()
    return int(asked.hits + asked.misses)


def _url_files() -> Iterator[str]:
    """Yield the files of the site's URL patterns, and of those that they include."""
    resolvers = [sys.modules["django.urls.resolvers"].get_resolver()]
    while resolvers:
        resolver = resolvers.pop()
        file = getattr(getattr(resolver, "urlconf_module", None), "__file__", None)
        if file:
            yield file
        resolvers += [each for each in resolver.url_patterns if hasattr(each, "url_patterns")]


def is_importing_all(frames: list[Any]) -> bool:
    """Return whether Django is importing whatever there is of a kind, by the frames of that.

    Template tags are all imported for the first template (django/template/backends/django.py), views with the
    URLconf for the first URL (django/urls/resolvers.py). A URLconf itself is needed for a URL, and counts.
    """
    nearest = ""
    for frame in reversed(frames):
        module = str(frame.f_globals.get("__name__"))
        if frame.f_code.co_name == "get_template_tag_modules":
            return True
        if module.startswith("django.urls."):
            return nearest == "<module>"
        if frame.f_code.co_name == "<module>":
            nearest = "<module>"
    return False


def _source(path: str) -> str:
    """Return the source that a compiled module stands for."""
    if not path.endswith(".pyc"):
        return path
    try:
        return source_from_cache(path)
    except ValueError:
        return path[:-1]


def _file(frame: Any) -> str:
    name: str = frame.f_code.co_filename
    return name if name.startswith("<") else os.path.abspath(name)


def _stack() -> list[Any]:
    """Return the frames of this thread, outermost first, without those of this file."""
    frames = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            frames.append(frame)
        frame = frame.f_back
    return frames[::-1]
