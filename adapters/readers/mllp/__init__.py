"""A port that speaks MLLP: each message is taken durably, then acknowledged, in order.

Spec:    HL7 v2 Transport Specification: MLLP, release 1; docs/adapters.md, "MLLP".
Leaves:  one connection to `conversation`, certificates to `tls`; what a message means, and what is durable, to
         the one who is called with it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time

from adapters.hl7v2.framing import Frame
from adapters.readers.mllp.conversation import Bounds, Conversation, NotTaken, Take, TooSlow
from adapters.readers.mllp.tls import Door, NotLetIn

__all__ = ["Bounds", "Door", "Frame", "MllpListener", "NotTaken", "Take"]

_log = logging.getLogger("adapters.mllp")
_UNHEARD_SECONDS = 5.0
_POLL_SECONDS = 0.2


class MllpListener:
    """Listens, one thread a connection; `take` gets each frame and gives the acknowledgements."""

    def __init__(
        self,
        host: str,
        port: int,
        take: Take,
        *,
        bounds: Bounds,
        max_connections: int,
        door: Door | None = None,
    ) -> None:
        self._take = take
        self._bounds = bounds
        self._door = door
        self._free = threading.BoundedSemaphore(max_connections)
        self._stopped = threading.Event()
        self._open: set[Conversation] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=64)
        self._socket.settimeout(_POLL_SECONDS)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="mllp-accept", daemon=True)
        self._acceptor.start()

    def stop(self, patience_seconds: float = 5.0) -> None:
        """Take no new connections, let what is being taken be answered, close the rest."""
        self._stopped.set()
        self._acceptor.join()
        self._socket.close()
        deadline = time.monotonic() + patience_seconds
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            for conversation in self._open:
                conversation.abort()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._stopped.is_set():
                    return
                time.sleep(_POLL_SECONDS)
                continue
            if not self._has_room():
                _log.warning("A-211 refused connection: too many open")
                connection.close()
                continue
            conversation = Conversation(connection, self._take, self._bounds, self._stopped)
            thread = threading.Thread(target=self._serve, args=(conversation,), name="mllp", daemon=True)
            with self._lock:
                self._open.add(conversation)
                self._threads.add(thread)
            thread.start()

    def _has_room(self) -> bool:
        """Whether one more may come in: where all places are taken, who never said anything makes room."""
        if self._free.acquire(blocking=False):
            return True
        before = time.monotonic() - _UNHEARD_SECONDS
        with self._lock:
            unheard = [item for item in self._open if not item.is_heard and item.opened_at < before]
            if not unheard:
                return False
            min(unheard, key=lambda item: item.opened_at).abort()
        return self._free.acquire(timeout=1.0)

    def _serve(self, conversation: Conversation) -> None:
        try:
            if self._door is not None:
                conversation.enter(self._door)
            conversation.hold()
        except NotLetIn as refused:
            _log.warning("%s refused connection: %s", refused.code, refused.text)
        except TooSlow as slow:
            _log.warning("%s connection closed: %s", slow.code, slow.text)
        except NotTaken:
            _log.error("A-501 message not taken: no acknowledgement, connection closed")
        except OSError:
            _log.info("A-213 connection lost")
        except Exception as error:  # noqa: BLE001 - one connection's fault must not end the others, nor show values
            _log.error("A-220 connection closed by a fault of the adapter: %s", type(error).__name__)
        finally:
            conversation.close()
            with self._lock:
                self._open.discard(conversation)
                self._threads.discard(threading.current_thread())
            self._free.release()
