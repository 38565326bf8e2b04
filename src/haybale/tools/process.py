"""The one place that starts processes.

All others call it, so that a missing executable is a sentence and not a traceback, an interrupted command
ends in order, and unit tests can shut this door.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from haybale.errors import PrerequisiteError
from haybale.tools.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType
    from typing import TypeAlias

    # Variables of a child process; None takes one out.
    Environment: TypeAlias = Mapping[str, str | None]

# Seconds that a process gets to end after it was asked to, before it is killed.
GRACE = 20

# Seconds between two looks at what a command that is watched has brought about.
WATCH_PAUSE = 0.5


# How apt and mmdebstrap, docker and buildx, git, and others begin the line of an error.
ERROR_LINE = re.compile(r"(E|ERROR|error|fatal|Error response from daemon): \S")


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A command that ended: its exit code (-N: killed by signal N), and its output where it was captured."""

    code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether the command exited with 0."""
        return self.code == 0

    @property
    def output(self) -> str:
        """Both streams, for people."""
        return "\n".join(part.rstrip() for part in (self.stdout, self.stderr) if part.strip())

    @property
    def error_line(self) -> str:
        """The line that says why the command failed: the first of an error, else the last one."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [line for line in lines if ERROR_LINE.match(line)]
        return next(iter(errors or lines[-1:]), "it printed nothing")


class CommandFailedError(Exception):
    """A streamed command failed: for adapters to translate, never for the user to see."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"{shlex.join(command)} exited with {code}")
        self.code = code


def find_executable(name: str) -> str | None:
    """Return the path of an executable, or None."""
    return shutil.which(name)


def require_executable(name: str) -> str:
    """Return the path of an executable; `PrerequisiteError` where there is none."""
    path = find_executable(name)
    if path is None:
        hint = "install and start an engine: `haybale engine`"
        raise PrerequisiteError(
            f"{name} is not installed, or not on PATH",
            hint=hint if name == "docker" else f"install {name} and try again",
        )
    return path


def child_environment(extra: Environment | None) -> dict[str, str]:
    """Return what a child process sees: this process's environment, cleaned, with `extra` laid over it."""
    merged: Environment = {**clean_environment(os.environ), **(extra or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Environment | None = None,
    stdin: str | bytes = b"",
    timeout: float | None = None,
    detached: bool = False,
) -> Completed:
    """Run a command to its end and capture its output; the caller judges the exit code.

    `env` is laid over this process's environment, None takes a variable out. `timeout` is in seconds and
    raises `PrerequisiteError`. A `detached` command does not get the terminal's Ctrl-C.
    """
    raise_if_interrupted()
    try:
        done = subprocess.run(
            [require_executable(command[0]), *command[1:]],
            cwd=cwd,
            env=child_environment(env),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=timeout,
            start_new_session=detached,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        message = f"{shlex.join(command)} did not answer within {timeout:.0f} s"
        raise PrerequisiteError(message, cause="not known; it was ended") from late
    stdout, stderr = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    return Completed(code=done.returncode, stdout=stdout, stderr=stderr)


def run_watched(
    command: Sequence[str],
    *,
    watch: Callable[[], None],
    cwd: Path | None = None,
    env: Environment | None = None,
) -> Completed:
    """Run a command as `run` does, and call `watch` every `WATCH_PAUSE` seconds; what it raises ends it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with running_process(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
        ) as process:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(WATCH_PAUSE)
                    break
                watch()
        streams = []
        for stream in (out, errors):
            stream.seek(0)
            streams.append(stream.read().decode(errors="replace"))
        return Completed(code=process.returncode, stdout=streams[0], stderr=streams[1])


def run_merged(command: Sequence[str], *, env: Environment | None = None) -> Completed:
    """Run a command that must clean up after itself, with both streams in `stdout`; no code is an error.

    Interrupted, it is asked to end and gets time for it. Its output goes into a file: a pipe that closes
    under it would end it at once, with its mounts, locks and folders in place.
    """
    with tempfile.TemporaryFile() as log:
        with running_process(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            code = process.wait()
        log.seek(0)
        return Completed(code=code, stdout=log.read().decode(errors="replace"))


def run_attached(command: Sequence[str], *, cwd: Path | None = None, env: Environment | None = None) -> int:
    """Run a command on this terminal (its input, output and signals) and return its exit code."""
    with running_process(command, cwd=cwd, env=env) as process:
        return process.wait()


def stream_lines(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Environment | None = None,
    merge: bool = True,
) -> Iterator[str]:
    """Yield the command's output line by line while it runs (with its error stream where `merge`).

    Raises `CommandFailedError` at the end where it failed.
    """
    stderr = subprocess.STDOUT if merge else None
    with running_process(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
    ) as process:
        for line in process.stdout or ():
            yield line.decode(errors="replace").rstrip("\r\n")
        code = process.wait()
    if code:
        raise CommandFailedError(command, code)


@contextlib.contextmanager
def running_process(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Environment | None = None,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process and make sure that it has ended when the block is left, however it is left."""
    raise_if_interrupted()
    process = subprocess.Popen(
        [require_executable(command[0]), *command[1:]],
        cwd=cwd,
        env=child_environment(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        stop_process(process)


def start_detached(command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one and does not get its Ctrl-C; both its streams go to `log`."""
    return subprocess.Popen(
        [require_executable(command[0]), *command[1:]],
        env=child_environment(None),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End a process: ask, wait, then kill. Does nothing where it has ended."""
    if process.poll() is None:
        process.terminate()
    # After it was asked: a pipe that closes under it would end it at once, in the middle of cleaning up.
    if process.stdout is not None:
        process.stdout.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The signals that asked this process to end; and the blocks that clean up now, which nothing interrupts.
_received: list[int] = []
_uninterrupted: list[bool] = []


def exit_on_signals() -> None:
    """Make Ctrl-C and SIGTERM end this process by way of every `finally`.

    An exception that a signal raises may occur in a finalizer, which swallows it. So it is remembered too,
    and the next process to be started raises it again.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _handle_signal)
    sys.unraisablehook = _report_unraisable


def received_signal() -> int | None:
    """Return the first signal that asked this process to end; None where there was none."""
    return _received[0] if _received else None


def raise_if_interrupted() -> None:
    """Raise what the signal that asked this process to end raised, except while it cleans up."""
    if _received and not _uninterrupted:
        raise KeyboardInterrupt if _received[0] == signal.SIGINT else SystemExit(128 + _received[0])


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let nothing interrupt the block: clean-up that a second Ctrl-C breaks off leaves containers behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    _uninterrupted.append(True)
    try:
        yield
    finally:
        _uninterrupted.pop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle_signal(number: int, _frame: FrameType | None) -> None:
    _received.append(number)
    raise_if_interrupted()


def _report_unraisable(hook: sys.UnraisableHookArgs) -> None:
    """Report what a finalizer swallowed, unless that is a request to end, which is remembered."""
    if not (_received and isinstance(hook.exc_value, KeyboardInterrupt | SystemExit)):
        sys.__unraisablehook__(hook)
