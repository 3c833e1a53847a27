"""What is exchanged: every two values that a peer can combine meet in a row; and what each peer can."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from tests.interop import pairwise

#: In the order of a row's id. "in": the peer sends, and we receive.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "route": (
        "openssl in",
        "openssl out",
        "pyas2lib in",
        "pyas2lib out",
        "libas2 in",
        "libas2 out",
        "django-pyas2 in",
        "django-pyas2 out",
    ),
    "algorithms": ("aes128", "aes256", "legacy", "gcm", "pss", "oaep", "ec"),
    "content": ("x12", "edifact", "xml", "binary", "lf"),
    "protection": ("both", "signed", "encrypted", "plain"),
    "receipt": ("signed", "async", "unsigned", "none"),
    "transport": ("http", "https-self", "https-ca", "mtls", "engine"),
    "compression": ("none", "before", "after"),
    "size": ("10k", "1m"),
}
CONTENT_TYPES: Final = {
    "x12": "application/edi-x12",
    "edifact": "application/edifact",
    "xml": "application/xml",
    "binary": "application/octet-stream",
    "lf": "application/edi-x12",
}
SIZES: Final = {"10k": 10_000, "1m": 1_000_000, "20m": 20_000_000, "50m": 50_000_000}


def _without(name: str, *values: str) -> tuple[str, ...]:
    return tuple(value for value in PARAMETERS[name] if value not in values)


_HTTP: Final = _without("transport", "engine")
#: What a route can, where it cannot do all. As senders we always ask for a receipt.
CAPABILITIES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    # A command for cryptography: no HTTP, so no receipt by a request of its own; built without zlib in Debian.
    "openssl in": {"receipt": ("signed", "unsigned", "none"), "transport": ("engine",), "compression": ("none",)},
    "openssl out": {"receipt": ("signed", "unsigned"), "transport": ("engine",), "compression": ("none",)},
    # No AES-GCM, no elliptic curves; OAEP with SHA-1 and PSS without parameters, which only we can make fit.
    "pyas2lib in": {"algorithms": ("aes128", "aes256", "legacy"), "transport": _HTTP},
    "pyas2lib out": {
        "algorithms": ("aes128", "aes256", "legacy", "pss", "oaep"),
        "receipt": _without("receipt", "none"),
        "transport": _HTTP,
    },
    # No compression; GCM in a form of its own; encrypts with OAEP always; asks for no receipt that must not be signed.
    "libas2 in": {
        "algorithms": ("aes128", "aes256", "oaep"),
        "receipt": _without("receipt", "unsigned"),
        "transport": _HTTP,
        "compression": ("none",),
    },
    "libas2 out": {
        "algorithms": ("aes128", "aes256", "legacy", "oaep"),
        "receipt": _without("receipt", "none"),
        "transport": _HTTP,
        "compression": ("none",),
    },
    # pyas2lib 1.4.3 inside, without OAEP; shows no client certificate, and compresses before signing only.
    "django-pyas2 in": {
        "algorithms": ("aes128", "aes256", "legacy"),
        "transport": ("http", "https-self", "https-ca"),
        "compression": ("none", "before"),
    },
    "django-pyas2 out": {
        "algorithms": ("aes128", "aes256", "legacy"),
        "receipt": _without("receipt", "none"),
        "transport": _HTTP,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the matrix."""

    route: str
    algorithms: str
    content: str
    protection: str
    receipt: str
    transport: str
    compression: str
    size: str

    @property
    def id(self) -> str:
        return ", ".join(getattr(self, field.name) for field in fields(self))

    @property
    def peer(self) -> str:
        return self.route.rpartition(" ")[0]

    @property
    def is_outbound(self) -> bool:
        return self.route.endswith(" out")

    @property
    def is_signed(self) -> bool:
        return self.protection in {"both", "signed"}

    @property
    def is_encrypted(self) -> bool:
        return self.protection in {"both", "encrypted"}

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.content]

    def payload(self) -> bytes:
        """The document, the same in every run."""
        size = SIZES[self.size]
        piece = {
            "x12": b"ISA*00*          *00*          *ZZ*PEEREDI        *ZZ*PLANTEDI       *270301*0815~\r\nIEA*0*1~\r\n",
            "edifact": b"UNA:+.? 'UNB+UNOC:3+PEER+PLANT+270301:0815+1'\r\nUNZ+0+1'\r\n",
            "xml": '<?xml version="1.0"?>\r\n<Bestellung Größe="M8" Menge="40 Stück"/>\r\n'.encode(),
            "binary": bytes(range(256)) + b"\r\n--\r\n\n\r\x00",
            "lf": b"ISA*00*          *00*          *ZZ*PEEREDI        *ZZ*PLANTEDI       *270301*0815~\nIEA*0*1~\n",
        }[self.content]
        return (piece * (size // len(piece) + 1))[:size]


def possible(row: dict[str, str]) -> bool:
    """Whether these values can be in one row."""
    route = row.get("route")
    if route is not None:
        limits = CAPABILITIES[route]
        if any(row[name] not in values for name, values in limits.items() if name in row):
            return False
        if route == "django-pyas2 out" and (row.get("receipt"), row.get("transport")) == ("async", "mtls"):
            return False  # the receipt would need a client certificate
    protection, algorithms = row.get("protection"), row.get("algorithms")
    if algorithms in {"pss", "ec"} and protection in {"encrypted", "plain"}:
        return False  # they are ways to sign
    if algorithms in {"gcm", "oaep"} and protection in {"signed", "plain"}:
        return False  # they are ways to encrypt
    return not (row.get("compression") == "after" and protection in {"encrypted", "plain"})  # after signing


def _large(route: str, content: str, transport: str, size: str) -> Case:
    """A row that is here for its size alone."""
    usual = {"algorithms": "aes256", "protection": "both", "receipt": "signed", "compression": "none"}
    return Case(route=route, content=content, transport=transport, size=size, **usual)


#: Beyond pairs: with every peer the usual exchange, and whatever decides what a MIC is over.
_MORE: Final = [
    *(
        {"route": route, "protection": "both", "receipt": receipt}
        for route in PARAMETERS["route"]
        for receipt in ("signed", "async")
    ),
    *(
        {"route": route, "protection": protection, "compression": compression}
        for route in PARAMETERS["route"]
        for protection in PARAMETERS["protection"]
        for compression in PARAMETERS["compression"]
    ),
]
CASES: Final = [
    *(Case(**row) for row in pairwise.rows(PARAMETERS, possible, _MORE)),
    _large("openssl in", "binary", "engine", "50m"),
    _large("pyas2lib out", "binary", "http", "20m"),
]
