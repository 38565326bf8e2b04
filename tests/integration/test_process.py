"""The one door to processes, with real ones."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from haybale.errors import MachineError
from haybale.tools import process

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.integration


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_command_says_is_kept_apart_and_its_code_is_told() -> None:
    done = process.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (done.code, done.ok, done.stdout, done.stderr) == (3, False, "out\n", "err\n")
    assert done.output == "out\nerr"


def test_a_missing_executable_is_a_sentence() -> None:
    with pytest.raises(MachineError, match="no-such-tool is not installed"):
        process.run(["no-such-tool"])


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(MachineError, match="did not answer within 2 s"):
        process.run(python(code), timeout=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text(encoding="utf-8")), 0)


def test_standard_input_is_given_or_empty_and_the_environment_added() -> None:
    echo = python("import os, sys; print(sys.stdin.read() + os.environ.get('GIVEN', ''))")
    assert process.run(echo, stdin="a\nb", env={"GIVEN": "c"}).stdout == "a\nbc\n"
    assert process.run(echo, stdin=b"x" * 1_000_000).stdout == "x" * 1_000_000 + "\n"
    assert process.run(echo).stdout == "\n"


def test_output_that_is_no_utf_8_is_no_reason_to_fail() -> None:
    assert process.run(python("import os; os.write(1, b'a\\xffb')")).stdout == "a\ufffdb"


def test_lines_come_while_the_command_runs(tmp_path: Path) -> None:
    """It goes on only after its first line was read and answered."""
    answer = tmp_path / "answer"
    os.mkfifo(answer)
    code = f"print('first', flush=True); open({str(answer)!r}).read(); print('second')"
    lines = process.lines(python(code))
    assert next(lines) == "first"
    answer.write_text("go on", encoding="utf-8")
    assert list(lines) == ["second"]


def test_lines_of_a_failed_command_end_with_its_code() -> None:
    read: list[str] = []
    with pytest.raises(process.CommandFailedError) as told:
        read.extend(process.lines(python("print('said'); raise SystemExit(7)")))
    assert told.value.code == 7


def test_a_process_ends_with_its_block_however_that_is_left() -> None:
    seen: list[subprocess.Popen[bytes]] = []

    def interrupted() -> None:
        with process.running(python("import time; time.sleep(600)")) as child:
            seen.append(child)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen[0].returncode is not None


def test_a_command_is_shown_as_a_shell_takes_it() -> None:
    assert process.shown(["sh", "-c", "echo 'a b'", ""]) == """sh -c 'echo '"'"'a b'"'"'' ''"""


@pytest.mark.parametrize(("name", "ended"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "SystemExit")])
def test_a_signal_whose_exception_is_swallowed_still_ends_the_run_and_not_its_cleaning_up(
    name: str, ended: str
) -> None:
    """A finalizer swallows what is raised in it."""
    code = f"""
import os, signal
from haybale.tools import process
process.end_on_signals()
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        print("not reached")
Finalized()
with process.uninterrupted():
    print("cleaning", process.run(["true"]).ok)
try:
    process.run(["true"])
except BaseException as error:
    print("ended by", type(error).__name__)
"""
    done = process.run(python(code))
    assert done.stdout.splitlines() == ["cleaning True", f"ended by {ended}"]
    assert done.stderr == ""
