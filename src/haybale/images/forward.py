"""Pass on what comes to ports of this container to services, and become the command that follows.

So a site that has 127.0.0.1:8983 written in finds Solr there. This is run by `python -c` under the site's own
Python (3.9 or newer), with {PORT: [HOST, PORT]} as JSON and the command for arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading

CHUNK = 1 << 16


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Send what comes from one side to the other, to its end."""
    try:
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone; the other one has to see that.
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def connect(client: socket.socket, address: tuple[str, int]) -> None:
    """Connect somebody with a service; where that does not answer, they see the connection end."""
    with client, contextlib.suppress(OSError), socket.create_connection(address) as service:
        for each in (client, service):
            # Requests are small, and wait for their answer.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = threading.Thread(target=pass_on, args=(service, client))
        answers.start()
        pass_on(client, service)
        answers.join()


def serve(listener: socket.socket, address: tuple[str, int]) -> None:
    """Connect whoever comes."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=connect, args=(client, address), daemon=True).start()


def listen(port: int) -> socket.socket:
    """Listen at a port of this container."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"haybale cannot listen at 127.0.0.1:{port} for a service (site.aliases): {error}")


def main() -> None:
    """Listen, leave that to a process of its own, and become the command."""
    addresses, command = json.loads(sys.argv[1]), sys.argv[2:]
    listeners = [(listen(int(port)), (host, number)) for port, (host, number) in addresses.items()]
    child = os.fork()
    if child == 0:
        # A child's child is nobody's: the command has no child that it did not start.
        if os.fork() == 0:
            for each in listeners:
                threading.Thread(target=serve, args=each).start()
            threading.Event().wait()
        os._exit(0)
    os.waitpid(child, 0)
    # What listens is closed in the command (PEP 446).
    os.execvp(command[0], command)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
