"""A line to the hub as posts have it: 32 kbit/s, one segment of five lost, silent for a while, hung up on.

What is lost on a real line is sent again by TCP, each time after a longer pause: so a lost segment comes late here, one
lost too often ends the connection, and a line that is down carries nothing and says nothing.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from contextlib import suppress

SEGMENT_BYTES = 1400
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3.2
MOST_TRIES = 6
HALF_OPEN = 0.002


class WeakLink:
    """A relay on loopback; each connection is a line of its own. `counts` tells what it did."""

    def __init__(
        self, hub_port: int, *, bits_per_second: int = 32_000, loss: float = 0.2, seed: int = 1
    ) -> None:
        self.hub_port = hub_port
        self.counts: Counter[str] = Counter()
        self._rate = bits_per_second
        self._loss = loss
        self._chance = random.Random(seed)
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0, limit=SEGMENT_BYTES * 4)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="weak link", daemon=True)
        self._thread.start()

    def go_down(self) -> None:
        """Carry nothing, and tell nobody."""
        self.counts["outages"] += 1
        self._loop.call_soon_threadsafe(self._is_up.clear)

    def come_up(self) -> None:
        """Carry again."""
        self._loop.call_soon_threadsafe(self._is_up.set)

    def close(self) -> None:
        self._server.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.counts["connections"] += 1
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.hub_port)
            pumps = [
                asyncio.ensure_future(self._carry(reader, far, "bytes up")),
                asyncio.ensure_future(self._carry(far_reader, writer, "bytes down")),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0.01)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, far):
                if each is not None:
                    with suppress(OSError):
                        each.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, name: str) -> None:
        while chunk := await source.read(SEGMENT_BYTES):
            await self._travel(len(chunk))
            self.counts[name] += len(chunk)
            sink.write(chunk)
            await sink.drain()

    async def _travel(self, size: int) -> None:
        """Take as long as a segment of this size takes here. Raises: OSError - it was lost too often."""
        await asyncio.sleep(size * 8 / self._rate)
        pause, tries = FIRST_PAUSE_SECONDS, 0
        while self._chance.random() < self._loss:
            tries += 1
            self.counts["lost segments"] += 1
            if tries == MOST_TRIES:
                self.counts["resets"] += 1
                raise ConnectionResetError
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if self._loss and self._chance.random() < HALF_OPEN:
            self.counts["half-open"] += 1
            await asyncio.Event().wait()  # until one of both gives up
        await self._is_up.wait()
