"""Profiles: frozen snapshots of one partner's terms, free of the database, for everything below and beside it to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

#: What an AS2 partner may be allowed to send at most; no web server of ours takes more.
MAX_MESSAGE_MEGABYTES: Final = 100


class Channel(StrEnum):
    """How a document came or goes."""

    AS2 = "as2"
    REST = "rest"
    PORTAL_JSON = "portal_json"
    WEB = "web"
    ERP = "erp"


class PartnerState(StrEnum):
    DRAFT = "draft"
    TESTING = "testing"
    LIVE = "live"
    SUSPENDED = "suspended"


class Direction(StrEnum):
    INBOUND = "inbound"  #: partner to us
    OUTBOUND = "outbound"  #: we to the partner


class FunctionalAck(StrEnum):
    """What we answer to a functional group, and expect for ours."""

    FULL = "full"  #: 997 with AK2 to AK5 for every set
    GROUP = "group"  #: 997 with AK1 and AK9 only
    IMPLEMENTATION = "999"  #: 999 with IK3 and IK4, in 005010 whatever the version of the rest
    NONE = "none"


class Algorithms(StrEnum):
    """How strong the cryptography of an AS2 link must be, whoever sends."""

    MODERN = "modern"  #: AES-GCM, RSA-OAEP, SHA-256 and better
    SECURE = "secure"  #: AES, SHA-256 and better
    LEGACY = "legacy"  #: 3DES and SHA-1 as well, for a partner that can do no better


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRef:
    """One X.509 certificate and, when it is ours, the decrypted private key. Keys are never shown in ``repr``."""

    fingerprint: str  #: SHA-256, hex
    certificate_pem: bytes
    private_key_pem: bytes | None = field(default=None, repr=False)
    expired: bool = False  #: of theirs, accepted within the days of grace all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTerms:
    """How what we post reaches a partner's server."""

    timeout_s: float = 30.0  #: for one whole exchange
    verify_tls: bool = True
    authorities_pem: bytes = b""  #: certificates trusted instead of the system's authorities; empty: the system's
    presents_certificate: bool = False  #: their server asks for one of ours
    client_certificate: CertificateRef | None = None  #: with its key; None though we present one: it is missing
    proxy_url: str = field(default="", repr=False)  #: http://host:port, with a name and password perhaps; empty: none
    user: str = ""  #: HTTP Basic; empty: none
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class As2Terms:
    """What both sides do on an AS2 link. All that is True is demanded inbound and done outbound."""

    our_name: str
    their_name: str
    url: str | None  #: where we post; None: we cannot send to this partner
    signed: bool = True
    encrypted: bool = True
    compressed: bool = False  #: outbound only; inbound both are read
    compressed_after_signing: bool = False  #: the signature is compressed too; with ``compressed`` only
    algorithms: Algorithms = Algorithms.SECURE  #: demanded inbound; what follows must be among them
    digest: str = "sha256"  #: sha256, sha384, sha512; sha1 on a legacy link
    cipher: str = "aes256_cbc"  #: a name of ``transports/as2/algorithms.py``; des_ede3_cbc on a legacy link
    signature_scheme: str = "pkcs1v15"  #: of our RSA key: pkcs1v15 or pss; an EC key signs with ECDSA
    key_transport: str = "pkcs1v15"  #: pkcs1v15, oaep_sha1, oaep_sha256, oaep_sha384, oaep_sha512
    all_recipients: bool = False  #: encrypt for every certificate of ``their_encryption``, not for the first alone
    as2_version: str = "1.2"  #: 1.2 or 1.3
    signed_mdn: bool = True
    async_mdn: bool = False  #: we ask for receipts by a request of their own, at ``our_url``
    our_url: str | None = None  #: where partners reach our AS2 door; needed for asynchronous receipts only
    mdn_timeout: timedelta = timedelta(minutes=76)  #: an asynchronous receipt that is not there by then is missed
    retry_minutes: tuple[float, ...] = ()  #: pauses between tries; empty: ``settings.RETRY_SCHEDULE_MIN``
    receipt_origins: tuple[str, ...] = ()  #: scheme://host:port our asynchronous receipts may go to, besides ``url``'s
    private_network: bool = False  #: those may have private addresses: the partner is in a network of ours
    our_signing: tuple[CertificateRef, ...] = ()  #: with keys; the first signs
    our_decryption: tuple[CertificateRef, ...] = ()  #: with keys; all are tried
    their_signing: tuple[CertificateRef, ...] = ()  #: any of these may have signed
    their_encryption: tuple[CertificateRef, ...] = ()  #: the first encrypts
    #: One of them must stand before every request; empty: all have ended, so nobody gets in; None: none is asked for.
    their_tls: tuple[CertificateRef, ...] | None = None
    http: HttpTerms = HttpTerms()
    max_bytes: int = 25 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class X12Terms:
    """How X12 is written for a partner and how strictly it is read."""

    our_qualifier: str = "ZZ"
    our_id: str = ""
    our_group_id: str = ""  #: GS02; empty: as ISA06
    their_qualifier: str = "ZZ"
    their_id: str = ""
    their_group_id: str = ""
    version: str = "004010"  #: GS08 without suffix; ISA12 follows from it
    version_suffix: str = ""  #: VICS, UCS …
    element: str = "*"
    segment: str = "~"
    component: str = ">"
    repetition: str = "^"  #: only from 00402 on
    newline_after_segment: bool = False
    usage: str = "P"  #: ISA15: P production, T test
    functional_ack: FunctionalAck = FunctionalAck.FULL
    relaxed: frozenset[str] = frozenset()  #: finding codes that warn instead of reject


@dataclass(frozen=True, slots=True, kw_only=True)
class AckTerms:
    """How soon and how closely a partner must answer an order."""

    due_after: timedelta = timedelta(hours=24)  #: from our 850 to their 855
    quantity_tolerance: Decimal = Decimal(0)  #: fraction of the ordered quantity; 0.02 is 2 %
    price_tolerance: Decimal | None = Decimal(0)  #: fraction of the unit price; None: never compared
    days_early: int = 0  #: a promise may lie this many days before the requested day
    days_late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One document type in one direction: what is exchanged at all, and in which form."""

    document: str  #: canonical type, e.g. "purchase_order"
    direction: Direction
    channel: Channel
    format: str  #: "x12", "portal_json", "canonical_json"
    sheet: str = ""  #: for portal_json: the partner's shape, e.g. "boltco"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One trading partner at one moment."""

    id: int  #: primary key of the partner row
    code: str
    name: str
    state: PartnerState
    supplier_numbers: tuple[str, ...] = ()  #: what ERPs call this supplier
    agreements: tuple[Agreement, ...] = ()
    x12: X12Terms = X12Terms()
    ack: AckTerms = AckTerms()
    as2: As2Terms | None = None

    def agreement(self, document: str, direction: Direction) -> Agreement | None:
        """The agreement that covers this document in this direction, None when there is none."""
        return next((a for a in self.agreements if a.document == document and a.direction is direction), None)
