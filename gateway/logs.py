"""Logs: ids, never contents; one line each, whatever is in them; and work never waits for them.

Plain ``logging`` with formatters of our own instead of structlog: every library logs through ``logging`` anyway, the ids are one
context variable, and the rules that matter here (no words of unforeseen errors, no control characters, a reader that is too slow
costs lines and not work) would have to be written all the same.

The words of an exception may hold what it failed on: a price in a pydantic error, a row in the database's. So an exception is
told by its class and its places in the code. Its words are shown where they are ours or the system's, see ``told``.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError

from gateway import metrics

#: Characters of a message, and of the words of an error; lines of a traceback.
_MOST_MESSAGE: Final = 2000
_MOST_WORDS: Final = 400
_MOST_PLACES: Final = 40
#: Lines that wait for their reader; beyond that they are dropped and counted.
_MOST_WAITING: Final = 10_000
#: Seconds the end of the process waits for them.
_FLUSH_S: Final = 2.0
_ROOT: Final = str(Path(__file__).resolve().parent.parent) + os.sep

_bound: Final[ContextVar[Mapping[str, object]]] = ContextVar("log_ids", default=MappingProxyType({}))


# -- ids


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Have every line until the end of the block carry these ids; what ``bind`` adds inside ends with it too."""
    token = _bound.set({**_bound.get(), **_known(ids)})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**ids: object) -> None:
    """Have every further line of the surrounding ``bound`` carry these ids as well; empty ones are left out."""
    _bound.set({**_bound.get(), **_known(ids)})


def ids() -> Mapping[str, object]:
    """What a line that is written now would carry."""
    return _bound.get()


def _known(ids: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value if isinstance(value, int) else cleaned(str(value))
        for name, value in ids.items()
        if value not in (None, "")
    }


# -- words


def cleaned(text: str, most: int = 200) -> str:
    """Somebody else's text, fit for a log or a page: at most so many characters, nothing that is not printable."""
    return "".join(mark if mark.isprintable() else "?" for mark in text[:most]) + ("…" if len(text) > most else "")


def told(error: BaseException) -> str:
    """An unforeseen error without what it failed on: its class, its words where they are safe, the last place in our code.

    Safe are the words of our own exceptions but those about documents, and of the system's: files, network, the database's
    connection.
    """
    name = type(error).__name__
    words = cleaned(str(error), _MOST_WORDS) if _are_safe(error) else ""
    ours = [place for place in _places(error) if place.startswith(("gateway/", "partners/", "edi_maps/"))]
    return name + (f": {words}" if words else "") + (f" at {ours[-1]}" if ours else "")


def _are_safe(error: BaseException) -> bool:
    if isinstance(error, (OSError, ImproperlyConfigured, OperationalError, InterfaceError)):
        return True
    return type(error).__module__.partition(".")[0] in {"gateway", "partners"}


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.removeprefix(_ROOT)}:{frame.lineno} {frame.name}" for frame in frames[-_MOST_PLACES:]]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, the last first."""
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        yield step
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)


def _message(record: logging.LogRecord) -> str:
    if isinstance(record.args, tuple) and any(isinstance(one, BaseException) for one in record.args):
        words = tuple(told(one) if isinstance(one, BaseException) else one for one in record.args)
        return (str(record.msg) % words)[:_MOST_MESSAGE]
    return record.getMessage()[:_MOST_MESSAGE]


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- forms


class Json(logging.Formatter):
    """One JSON object a line, in ASCII: nothing in it can begin another line or colour a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_bound.get(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["errors"] = [{"error": told(error), "places": _places(error)} for error in _chain(record.exc_info[1])]
        return json.dumps(line, default=str)


class Line(logging.Formatter):
    """The same for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        ids = "".join(f" {name}={value}" for name, value in _bound.get().items())
        message = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in _message(record))
        line = f"{_moment(record)} {record.levelname} {record.name} {message}{ids}"
        if record.exc_info and record.exc_info[1] is not None:
            for error in _chain(record.exc_info[1]):
                line += "".join(f"\n    {place}" for place in _places(error)) + f"\n  {told(error)}"
        return line


# -- the way out


class Unhurried(logging.Handler):
    """Hands lines to a thread that writes them, so that a reader that is slow, gone or full costs lines and never work."""

    def __init__(self, descriptor: int = 2, most: int = _MOST_WAITING) -> None:
        super().__init__()
        self._descriptor, self._most = descriptor, most
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a thread does not survive a fork
        atexit.register(self.flush)

    def _begin(self) -> None:
        self._lines: queue.Queue[bytes] = queue.Queue(self._most)
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001  # whatever is wrong with a line, it is not worth the work it tells of
            metrics.LOG_LINES_LOST.inc()
            return
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._write, name="log", daemon=True)
                    self._writer.start()

    def flush(self) -> None:
        """Wait until what was said is written, for two seconds at most."""
        deadline = time.monotonic() + _FLUSH_S
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left_s := deadline - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left_s)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            try:
                # Past Python's own buffers: a thread that hangs in one would hang the end of the process too.
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                metrics.LOG_LINES_LOST.inc()
            finally:
                self._lines.task_done()
