"""TCP proxies of the harness: they spread calls over several backends, slow them down, cut them, or swallow what is said.

All of them run in one thread. Who looks at ``waiting`` learns how many calls a backend has not answered at this moment: whether
a fault meets work is asked here, not guessed.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final, TypeVar

Result = TypeVar("Result")
_CHUNK: Final = 65536
_CONNECT_S: Final = 2.0


class Mode(Enum):
    PASS = "pass"
    REFUSE = "refuse"  #: whoever calls is hung up on
    SWALLOW = "swallow"  #: half-open: taken, and nothing ever comes back


class Switchboard:
    """The thread the proxies run in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="switchboard", daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def proxy(self, backends: Sequence[int], *, delay_s: float = 0.0, seed: int = 0) -> Proxy:
        """A listener on a free port of this machine, before these ports of this machine.

        Args:
            delay_s: mean pause before each call goes on to its backend.
        """
        proxy = Proxy(backends, delay_s=delay_s, chance=random.Random(seed), call=self._call)
        asyncio.run_coroutine_threadsafe(proxy.listen(), self._loop).result(10)
        self._proxies.append(proxy)
        return proxy

    def _call(self, action: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(action)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end_all(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Proxy:
    """One listener; its port stays the same whatever becomes of the backends."""

    def __init__(
        self,
        backends: Sequence[int],
        *,
        delay_s: float,
        chance: random.Random,
        call: Callable[[Callable[[], None]], None],
    ) -> None:
        self.port = 0
        self.calls = 0  #: connections that came
        self.turned_away = 0  #: of these, refused or swallowed
        self.waiting: dict[int, int] = dict.fromkeys(backends, 0)  #: by backend: connections that wait for its answer
        self._backends = list(backends)
        self._next = 0
        self._delay_s, self._chance, self._call = delay_s, chance, call
        self._mode = Mode.PASS
        self._writers: set[asyncio.StreamWriter] = set()
        self._calls: set[asyncio.Task[None] | None] = set()  # asyncio itself lets go of a call whose line is closed
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, backlog=512)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more; in the thread of the proxies."""
        if self._server is not None:
            self._server.close()

    def switch(self, mode: Mode) -> None:
        """From now on; what is connected is cut, but for a half-open line, which stays as it is and goes dumb."""

        def switch() -> None:
            self._mode = mode
            if mode is not Mode.SWALLOW:
                for writer in list(self._writers):
                    writer.transport.abort()

        self._call(switch)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        call = asyncio.current_task()
        self._calls.add(call)
        self._writers.add(writer)
        try:
            # Only the end of everything cancels a call; Python 3.11 prints a stack for a handler that ends cancelled.
            with suppress(asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._writers.discard(writer)
            self._calls.discard(call)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.REFUSE:
            self.turned_away += 1
            return
        if self._mode is Mode.SWALLOW:
            self.turned_away += 1
            await self._swallow(reader)
            return
        found = await self._connect()
        if found is None:
            return
        backend, to_backend, from_backend = found
        line = _Line(self, backend)
        there = asyncio.create_task(line.there(reader, to_backend))
        try:
            await line.back(from_backend, writer)
        finally:
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)
            line.over()
            to_backend.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(_CHUNK):
                pass

    async def _connect(self) -> tuple[int, asyncio.StreamWriter, asyncio.StreamReader] | None:
        for _ in self._backends:
            backend = self._backends[self._next % len(self._backends)]
            self._next += 1
            with suppress(OSError, TimeoutError):
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", backend), _CONNECT_S)
                return backend, writer, reader
        return None

    async def pause(self) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s * self._chance.uniform(0.5, 1.5))

    @property
    def is_dumb(self) -> bool:
        return self._mode is Mode.SWALLOW


class _Line:
    """One call on its way."""

    def __init__(self, proxy: Proxy, backend: int) -> None:
        self._proxy, self._backend = proxy, backend
        self._waits = False

    async def there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if not self._waits:
                    await self._proxy.pause()
                    self._wait(True)
                if not self._proxy.is_dumb:
                    writer.write(data)
                    await writer.drain()
            writer.write_eof()  # the caller has said all; the answer may still come
        except OSError:
            writer.transport.abort()

    async def back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                self._wait(False)
                if not self._proxy.is_dumb:
                    writer.write(data)
                    await writer.drain()
            writer.write_eof()

    def over(self) -> None:
        self._wait(False)

    def _wait(self, waits: bool) -> None:
        if waits is not self._waits:
            self._waits = waits
            self._proxy.waiting[self._backend] += 1 if waits else -1
