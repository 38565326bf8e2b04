"""Parts of the benchmark that run in the site's container: `python /bench/incontainer.py VERB ...`.

watch COMMAND...       run a command; print {"wall", "code", "peaks"}: seconds, and each process's most memory
prepare FOLDER         prepare and encode everything in one process, write the batches into FOLDER; print
                       {"cpu", "documents", "bytes"}: CPU seconds of it without the writing
send FOLDER URL        send these batches over two connections, commit once
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds between two readings of the processes' memory, which say the most so far.
INTERVAL = 0.1

BATCH = 1000


def watch(*command: str) -> None:
    """Run a command with its output as it is, and print on the last line of the error stream what it took."""
    peaks: dict[int, tuple[str, int]] = {}
    began = time.perf_counter()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            for pid in (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()):
                if pid not in (1, os.getpid()):
                    peaks[pid] = max(peaks.get(pid, ("", 0)), peak_memory(pid), key=lambda each: each[1])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(INTERVAL)
    wall = time.perf_counter() - began
    most = sorted((kilobytes for _, kilobytes in peaks.values() if kilobytes), reverse=True)
    took = {"wall": wall, "code": process.returncode, "peaks": most}
    print("\nBENCH " + json.dumps(took), file=sys.stderr, flush=True)


def peak_memory(pid: int) -> tuple[str, int]:
    """Return a process's name and the most memory that it had, in KB. Source: proc(5), /proc/PID/status."""
    try:
        lines = Path("/proc", str(pid), "status").read_text(encoding="ascii").splitlines()
    except OSError:
        return "", 0
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return fields["Name"], int(fields.get("VmHWM", "0 kB").split()[0])


def prepare(folder: str) -> None:
    """Prepare every document once."""
    sys.path.append("/haybale")
    load_module = importlib.import_module
    load_module("haybale_loader.documents.django_setup").start_django()
    encoding = load_module("haybale_loader.documents.encoding")
    # It imports Haystack, which reads the settings.
    site = load_module("haybale_loader.documents.site")
    spent, documents, size = 0.0, 0, 0
    for source in site.find_sources(lambda _: None):
        pages = site.read_pages(source.queryset(), source.whole(), BATCH)
        while True:
            began = time.process_time()
            page = next(pages, None)
            if page is None:
                break
            prepared = [fields for row in page if (fields := site.prepare(source, row)) is not None]
            batch = encoding.update_body(encoding.encode_document(fields) for fields in prepared)
            spent += time.process_time() - began
            Path(folder, f"{documents:09}.json").write_bytes(batch)
            documents += len(prepared)
            size += len(batch)
    print(json.dumps({"cpu": spent, "documents": documents, "bytes": size}))


def send(folder: str, url: str) -> None:
    """Send every batch and commit."""
    parts = urlsplit(url)
    left = sorted(Path(folder).iterdir(), reverse=True)
    headers = {"Content-Type": "application/json"}

    def post(connection: http.client.HTTPConnection, query: str, content: bytes) -> None:
        connection.request("POST", f"{parts.path}/update?wt=json{query}", body=content, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:  # noqa: PLR2004 - OK
            print(text.decode(), file=sys.stderr)
            os._exit(1)

    def work() -> None:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=600)
        while left:
            try:
                file = left.pop()
            except IndexError:
                return
            post(connection, "", file.read_bytes())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=600)
    post(last, "&commit=true&waitSearcher=true", b"[]")


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {"watch": watch, "prepare": prepare, "send": send}
    verbs[sys.argv[1]](*sys.argv[2:])
