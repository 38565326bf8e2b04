"""The one door to processes, with real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from haybale.errors import PrerequisiteError
from haybale.tools import process

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run_separates_streams_and_returns_the_code() -> None:
    done = process.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (done.code, done.ok, done.stdout, done.stderr) == (3, False, "out\n", "err\n")
    assert done.output == "out\nerr"


def test_run_raises_for_a_missing_executable() -> None:
    with pytest.raises(PrerequisiteError, match="no-such-tool is not installed"):
        process.run(["no-such-tool"])


def test_run_ends_a_command_after_its_timeout(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(PrerequisiteError, match="did not answer within 2 s"):
        process.run(python(code), timeout=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text(encoding="utf-8")), 0)


def test_run_gives_standard_input_and_adds_to_the_environment() -> None:
    echo = python("import os, sys; print(sys.stdin.read() + os.environ.get('GIVEN', ''))")
    assert process.run(echo, stdin="a\nb", env={"GIVEN": "c"}).stdout == "a\nbc\n"
    assert process.run(echo, stdin=b"x" * 1_000_000).stdout == "x" * 1_000_000 + "\n"
    assert process.run(echo).stdout == "\n"


def test_run_replaces_output_that_is_not_utf_8() -> None:
    assert process.run(python("import os; os.write(1, b'a\\xffb')")).stdout == "a\ufffdb"


def test_stream_lines_yields_while_the_command_runs(tmp_path: Path) -> None:
    """It goes on only after its first line was read and answered."""
    answer = tmp_path / "answer"
    os.mkfifo(answer)
    code = f"print('first', flush=True); open({str(answer)!r}).read(); print('second')"
    lines = process.stream_lines(python(code))
    assert next(lines) == "first"
    answer.write_text("go on", encoding="utf-8")
    assert list(lines) == ["second"]


def test_stream_lines_raises_at_the_end_of_a_failed_command() -> None:
    read: list[str] = []
    with pytest.raises(process.CommandFailedError) as caught:
        read.extend(process.stream_lines(python("print('said'); raise SystemExit(7)")))
    assert caught.value.code == 7


def test_running_process_ends_with_its_block() -> None:
    seen: list[subprocess.Popen[bytes]] = []

    def interrupted() -> None:
        with process.running_process(python("import time; time.sleep(600)")) as child:
            seen.append(child)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen[0].returncode is not None


def test_stream_lines_merges_the_error_stream_or_leaves_it(capfd: pytest.CaptureFixture[str]) -> None:
    both = python("import sys; print('out', flush=True); print('err', file=sys.stderr)")
    assert list(process.stream_lines(both)) == ["out", "err"]
    assert list(process.stream_lines(both, merge=False)) == ["out"]
    assert capfd.readouterr().err == "err\n"


def test_stream_lines_ends_the_command_when_closed() -> None:
    lines = process.stream_lines(python("import os, time; print(os.getpid(), flush=True); time.sleep(600)"))
    number = int(next(lines))
    os.kill(number, 0)
    lines.close()  # type: ignore[attr-defined] # it is a generator
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_run_attached_returns_the_code(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ['GIVEN']); raise SystemExit(5)"
    assert process.run_attached(python(code), cwd=tmp_path, env={"GIVEN": "c"}) == 5
    assert capfd.readouterr().out == f"{tmp_path} c\n"


def test_run_returns_the_number_of_a_signal() -> None:
    done = process.run(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert (done.code, done.ok) == (-signal.SIGKILL, False)


def test_run_watched_captures_as_run_does() -> None:
    done = process.run_watched(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), watch=lambda: None
    )
    assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_run_watched_ends_the_command_where_its_watch_raises(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def watch() -> None:
        if note.is_file() and note.read_text(encoding="utf-8"):
            raise PrerequisiteError("seen")

    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(PrerequisiteError, match="seen"):
        process.run_watched(python(code), watch=watch)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text(encoding="utf-8")), 0)


def test_run_merged_keeps_the_order_of_both_streams() -> None:
    done = process.run_merged(
        python("import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)")
    )
    assert (done.code, done.stdout) == (3, "out\nerr\n")


def test_run_merged_lets_the_command_clean_up_after_ctrl_c(tmp_path: Path) -> None:
    """Only this process is interrupted, as CI systems do; what it started still says something at its end."""
    ready, note = tmp_path / "ready", tmp_path / "note"
    os.mkfifo(ready)
    cleaning = f"""
import signal, sys, time
def clean(*_):
    print("cleaning", flush=True)
    open({str(note)!r}, "w").write("cleaned")
    sys.exit()
signal.signal(signal.SIGTERM, clean)
open({str(ready)!r}, "w").write("ready")
time.sleep(600)
"""
    waiting = (
        f"from haybale.tools import process; process.run_merged([{sys.executable!r}, '-c', {cleaning!r}])"
    )
    with process.running_process(python(waiting), stderr=subprocess.DEVNULL) as started:
        assert ready.read_text(encoding="utf-8") == "ready"
        started.send_signal(signal.SIGINT)
        assert started.wait(60) != 0
    assert note.read_text(encoding="utf-8") == "cleaned"


def test_start_detached_gives_a_session_and_a_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        started = process.start_detached(
            python(
                "import os, sys; print(os.getsid(0), flush=True); print(sys.stdin.read(), file=sys.stderr)"
            ),
            log,
        )
    assert started.wait(60) == 0
    assert (tmp_path / "log").read_text(encoding="utf-8") == f"{started.pid}\n\n"
    assert started.pid != os.getsid(0)


def test_uninterrupted_ignores_signals(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from haybale.tools import process
with process.uninterrupted():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    Path({str(tmp_path / "note")!r}).write_text("whole")
"""
    assert process.run(python(code)).code == 0
    assert (tmp_path / "note").read_text(encoding="utf-8") == "whole"
