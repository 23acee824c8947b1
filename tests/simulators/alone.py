"""A server that would listen on every interface, run in a network of its own that has loopback alone.

    python -m tests.simulators.alone SOCKET PORT PROGRAM [ARGUMENT…]

runs a program there (the caller makes the network: `unshare --net`), and carries what comes to a Unix socket to its port.
`reached` is the other end: a port on this machine's loopback that carries to the socket.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIOCSIFFLAGS, UP = 0x8914, 0x1
CHUNK_BYTES = 65536


def can_be_alone() -> bool:
    """Whether this account may make a network of its own."""
    done = subprocess.run(["unshare", "--net", "--map-root-user", "true"], capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def reached(path: Path) -> Iterator[int]:
    """A port on loopback whose connections go to the socket at the path."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, lambda: _unix(path)), daemon=True).start()
        yield server.getsockname()[1]


def _unix(path: Path) -> socket.socket:
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect(str(path))
    except OSError:
        far.close()
        raise
    return far


def _accept(server: socket.socket, connect) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        try:
            far = connect()
        except OSError:
            near.close()
            continue
        threading.Thread(target=_join, args=(near, far), daemon=True).start()


def _join(near: socket.socket, far: socket.socket) -> None:
    """Carry both ways until both sides have said all."""
    with near, far:
        back = threading.Thread(target=_carry, args=(far, near), daemon=True)
        back.start()
        _carry(near, far)
        back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def main() -> None:
    path, port, *command = sys.argv[1:]
    with socket.socket() as door:
        fcntl.ioctl(door, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP))
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        connect = lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=60)  # noqa: E731
        threading.Thread(target=_accept, args=(server, connect), daemon=True).start()
        sys.exit(process.wait())


if __name__ == "__main__":
    main()
