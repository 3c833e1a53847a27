"""Why a delivery did not arrive, and what the outbox does about it.

DeliveryError
├── Unreachable    nothing was sent                  try again later
│   └── NotPublic  the address is one of a network   the same; a person may have to correct the address
│                  inside, and must not be
├── InDoubt        sent, but the answer never came   same bytes, same id: again, or look it up
└── Refused        the other side said no            open a case for a person
"""

from __future__ import annotations


class DeliveryError(Exception):
    """Base of the three. ``str()`` is for the person who opens the case."""


class Unreachable(DeliveryError):
    """Not one byte of the request left: no name, no connection, no TLS, or a request that cannot be written."""


class NotPublic(Unreachable):
    """Every address the name leads to is private, loopback, link-local or the like, and only public ones are allowed."""


class InDoubt(DeliveryError):
    """Bytes may have left and no whole answer came back."""


class Refused(DeliveryError):
    """The other side answered, and the answer is no.

    Args:
        text: why, in the other side's words.
        status: the HTTP status of the answer; None when it came some other way.
    """

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
