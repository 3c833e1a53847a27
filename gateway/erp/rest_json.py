"""The adapter for every ERP that speaks our published REST/JSON contract (README.md beside this file)."""

from __future__ import annotations

import json
import ssl
import time
import unicodedata
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final, Literal, NoReturn, TypeVar
from urllib.parse import quote

import httpx
from pydantic import JsonValue, TypeAdapter, ValidationError

from edi_maps import canonical
from gateway.erp.endpoint import ErpEndpoint
from gateway.erp.port import (
    AuthFailed,
    Capabilities,
    Change,
    ErpDocument,
    ErpOrder,
    InDoubt,
    NeedsHuman,
    OrderFact,
    Outcome,
    Permanent,
    Submission,
    Submitted,
    Transient,
)

__all__ = ["ErpEndpoint", "RestJsonErp", "classify"]

#: Codes with which the contract asks a person. Any other text under 409 is unknown, and unknown is permanent.
QUESTIONS: Final = frozenset({"question", "over_delivery", "order_closed", "stale_revision", "key_reused"})
#: Codes with which the contract says that an order or a document is not there.
ABSENCES: Final = frozenset({"unknown_order", "unknown_document"})

MAX_MESSAGE: Final = 400  #: characters of the ERP's own words; some append their whole data model
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_RETRY_AFTER_S: Final = 8 * 3600.0  #: the longest planned outage an ERP documents; more is a mistake


class NotThere(Permanent):
    """The ERP itself says that it does not know this order or key; a proxy's 404 is not that."""


def classify(status: int, headers: Mapping[str, str], body: bytes, *, write: bool) -> JsonValue:
    """The ERP's answer as decoded JSON, or the error that says what to do about it.

    Args:
        status: HTTP status code.
        headers: of the answer, in any case.
        body: as received, decoded from any content encoding.
        write: the request could have changed something, so an unclear answer means *in doubt*.

    Raises:
        Transient: 408, 423, 429; 5xx and an unreadable answer to a read.
        InDoubt: 408, 5xx and an unreadable answer to a write.
        NeedsHuman: 409 with one of ``QUESTIONS``.
        AuthFailed: 401, 403.
        Permanent: everything else, known or not; ``NotThere`` for 404 with one of ``ABSENCES``.
    """
    unclear = InDoubt if write else Transient
    if 200 <= status < 300:
        try:
            return _decode(body)
        except ValueError:
            raise unclear(
                f"The ERP answered {status} with something that is not JSON: {_words(body)[:200]!r}"
            ) from None
    code, text = _problem(body)
    message = _cut(
        f"{status} {code}: {text}" if code else f"{status}: {text}" if text else f"The ERP answered {status}."
    )
    if status in {401, 403}:
        raise AuthFailed(message)
    if status in {423, 429}:
        raise Transient(message, retry_after_s=_retry_after_s(headers))
    if status >= 500 or status == 408:
        raise unclear(message, retry_after_s=_retry_after_s(headers))
    if status == 409 and code in QUESTIONS:
        raise NeedsHuman(message)
    if status == 404 and code in ABSENCES:
        raise NotThere(message)
    raise Permanent(message)


class RestJsonErp:
    """An ``ErpPort`` over HTTP. Threads may share one; its idle connections close with it."""

    def __init__(self, endpoint: ErpEndpoint) -> None:
        self.endpoint = endpoint
        self._http = httpx.Client(
            base_url=endpoint.base_url,
            headers={
                "Authorization": f"Bearer {endpoint.token}",
                "Accept": "application/json, application/problem+json",
                "Accept-Encoding": "identity",  # nothing to inflate, so the limit on the answer is a limit on memory
                "User-Agent": "supplier-gateway",
            },
            timeout=httpx.Timeout(endpoint.read_timeout_s, connect=endpoint.connect_timeout_s),
            # An idle connection may be closed under us at any moment, and a write lost that way is in doubt.
            limits=httpx.Limits(max_connections=50, keepalive_expiry=1.0),
            verify=_tls(),
            trust_env=False,  # the endpoint says where to go and as whom, not a proxy variable or a .netrc
        )
        self.close = weakref.finalize(self, self._http.close)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            native_key=True,
            async_submit=True,  # the contract allows 202: accepted, not done
            full_replace=True,
            lot=True,
            sscc=True,
            outbox=True,
            cancel_ship_notice=True,
            verify_by_read=True,
            max_page=self.endpoint.page_size,
        )

    def changes(self, limit: int) -> Sequence[Change]:
        answer = self._call("GET", "/v1/changes", write=False, params={"limit": limit})
        return _conform(_CHANGES, answer)

    def load(self, order_key: str) -> ErpOrder:
        order = _conform(_ORDER, self._call("GET", f"/v1/orders/{_segment(order_key)}", write=False))
        if order.order_key != order_key:
            raise Permanent(_cut(f"Asked for order {order_key}, the ERP sent {order.order_key}."))
        return order

    def document(self, document_key: str) -> ErpDocument:
        found = _conform(_DOCUMENT, self._call("GET", f"/v1/documents/{_segment(document_key)}", write=False))
        if found.document_key != document_key:
            raise Permanent(_cut(f"Asked for document {document_key}, the ERP sent {found.document_key}."))
        return found

    def settle(self, tokens: Sequence[str]) -> None:
        if tokens:
            # Settling twice is settling once, so its answer is never in doubt: whoever lost it asks again.
            self._call("POST", "/v1/changes/settle", write=False, content={"tokens": list(tokens)})

    def submit(self, submission: Submission) -> Submitted:
        content: JsonValue = {
            "company": submission.company,
            "supplier_number": submission.supplier_number,
            "record": canonical.dump(submission.record),
        }
        path = _document_path(submission.kind, submission.key)
        receipt = _receipt(self._call("PUT", path, write=True, content=content), submission.key, InDoubt)
        if receipt.state == "refused":
            raise Permanent(receipt.reasons())
        return Submitted(state=receipt.state, erp_ref=receipt.erp_ref, replayed=receipt.replayed)

    def outcome(self, kind: str, key: str) -> Outcome:
        """What became of the document with this key.

        Raises:
            Permanent: the ERP knows no such document.
        """
        receipt = self._look_up(kind, key)
        if receipt is None:
            raise NotThere(_cut(f"The ERP knows no {kind.replace('_', ' ')} with key {key}."))
        lines = tuple((line.line_number, line.reason) for line in receipt.lines)
        return Outcome(state=receipt.state, erp_ref=receipt.erp_ref, lines=lines)

    def find(self, kind: str, key: str) -> str | None:
        """The ERP's reference of the document with this key; None: it never arrived.

        Raises:
            Transient: it arrived and the ERP has not decided; neither "done" nor "send again" would be true.
            Permanent: it arrived and was refused since.
        """
        receipt = self._look_up(kind, key)
        if receipt is None:
            return None
        if receipt.state == "pending":
            raise Transient(f"The ERP has the document as {receipt.erp_ref} and has not decided.")
        if receipt.state == "refused":
            raise Permanent(receipt.reasons())
        return receipt.erp_ref

    def snapshot(self, page: int) -> Sequence[OrderFact]:
        params = {"page": page, "page_size": self.endpoint.page_size}
        return _conform(_FACTS, self._call("GET", "/v1/snapshot", write=False, params=params))

    def _look_up(self, kind: str, key: str) -> _Receipt | None:
        try:
            answer = self._call("GET", _document_path(kind, key), write=False)
        except NotThere:
            return None
        return _receipt(answer, key, Transient)

    def _call(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Mapping[str, int] | None = None,
        content: JsonValue = None,
    ) -> JsonValue:
        """One request, classified; see ``classify`` for what is raised."""
        body = None if content is None else json.dumps(content).encode()
        unclear = InDoubt if write else Transient
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            with self._http.stream(method, path, params=params, content=body, headers=headers) as answer:
                received = self._receive(answer)
        except httpx.InvalidURL as error:
            raise Permanent(_cut(f"The ERP's key makes no address: {error}")) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            if _is_certificate_error(error):
                raise AuthFailed(_cut(f"The ERP's certificate is not trusted: {error}")) from error
            raise Transient(_cut(f"The ERP could not be reached: {error or type(error).__name__}")) from error
        except httpx.TransportError as error:
            raise unclear(_cut(f"Sent, and no usable answer came: {error or type(error).__name__}")) from error
        if received is None:
            raise unclear(f"The ERP's answer is larger than {MAX_ANSWER_BYTES} bytes.")
        return classify(answer.status_code, answer.headers, received, write=write)

    def _receive(self, answer: httpx.Response) -> bytes | None:
        """The body, within limits of size (None: over it) and of time: a drip of bytes must not hold a worker."""
        deadline = time.monotonic() + self.endpoint.read_timeout_s
        received = bytearray()
        for chunk in answer.iter_raw():
            received += chunk
            if len(received) > MAX_ANSWER_BYTES:
                return None
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer did not end in time")
        return bytes(received)


# -- the shapes of answers


@dataclass(frozen=True, slots=True, kw_only=True)
class _LineReason:
    line_number: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receipt:
    """What the ERP says about one document it was given."""

    key: str
    state: Literal["pending", "done", "refused"]
    erp_ref: str
    replayed: bool = False
    lines: tuple[_LineReason, ...] = ()

    def reasons(self) -> str:
        said = "; ".join(f"line {line.line_number}: {line.reason}" for line in self.lines if line.reason)
        return _cut(
            f"The ERP refused the document: {said}" if said else "The ERP refused the document without a reason."
        )


_CHANGES: Final = TypeAdapter(tuple[Change, ...])
_ORDER: Final = TypeAdapter(ErpOrder)
_DOCUMENT: Final = TypeAdapter(ErpDocument)
_FACTS: Final = TypeAdapter(tuple[OrderFact, ...])
_RECEIPT: Final = TypeAdapter(_Receipt)

_Shape = TypeVar("_Shape")


def _conform(shape: TypeAdapter[_Shape], answer: JsonValue) -> _Shape:
    """The answer to a read as a record.

    Raises:
        Permanent: the ERP does not keep to the contract here; asking again would give the same.
    """
    try:
        return shape.validate_python(answer)
    except ValidationError as error:
        _not_conforming(error)


def _not_conforming(error: ValidationError) -> NoReturn:
    first = error.errors(include_url=False, include_input=False)[0]
    place = "/".join(str(step) for step in first["loc"]) or "the answer"
    raise Permanent(_cut(f"The ERP does not keep to the contract: {place}: {first['msg']}.")) from None


def _receipt(answer: JsonValue, key: str, unclear: type[InDoubt | Transient]) -> _Receipt:
    """The receipt for ``key``; anything else, or a receipt for another key, settles nothing."""
    try:
        receipt = _RECEIPT.validate_python(answer)
    except ValidationError as error:
        raise unclear(_cut(f"The ERP's answer is no receipt: {error.error_count()} fields are wrong.")) from None
    if receipt.key != key or not receipt.erp_ref:
        raise unclear(_cut(f"The ERP's receipt is not for {key}."))
    return receipt


def _document_path(kind: str, key: str) -> str:
    """``invoice`` documents are kept under ``/v1/invoices``, ``ship_notice`` ones under ``/v1/ship-notices``."""
    return f"/v1/{kind.replace('_', '-')}s/{_segment(key)}"


def _segment(key: str) -> str:
    """One path segment. Dots too: a key ``..`` must not climb."""
    return quote(key, safe="").replace(".", "%2E")


# -- reading answers


def _decode(body: bytes) -> JsonValue:
    """Decoded JSON; ValueError for everything that is none, NaN and bottomless nesting included."""
    try:
        decoded: JsonValue = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return decoded


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _problem(body: bytes) -> tuple[str, str]:
    """Code and words of a problem document (RFC 9457); of anything else only the words."""
    try:
        problem = _decode(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return "", _words(body)
    code = problem.get("code")
    said = [text for name in ("detail", "title") if isinstance(text := problem.get(name), str) and text][:1]
    lines = problem.get("lines")
    for line in lines if isinstance(lines, list) else []:
        if isinstance(line, dict):
            said.append(f"line {line.get('line_number')}: {line.get('reason')}")
    return (code if isinstance(code, str) else ""), "; ".join(said) or _words(body)


def _words(body: bytes) -> str:
    return _cut(body[: 4 * MAX_MESSAGE].decode("utf-8", "replace"))


def _cut(text: str) -> str:
    """One printable line of at most ``MAX_MESSAGE`` characters: it ends in logs, cases and on screens."""
    spaced = " ".join(text[: 4 * MAX_MESSAGE].split())
    printable = "".join(c for c in spaced if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    return printable if len(printable) <= MAX_MESSAGE else printable[: MAX_MESSAGE - 1] + "…"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3), a moment measured by the ERP's own clock; None: not said, or not readable."""
    by_name = {name.lower(): value.strip() for name, value in headers.items()}
    value = by_name.get("retry-after", "")
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(by_name.get("date", ""))
    except (ValueError, TypeError):
        return None
    return min(max(wait.total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


@cache
def _tls() -> ssl.SSLContext:
    """The system's certificate authorities (``SSL_CERT_FILE`` names others): an ERP's is often the company's own."""
    return ssl.create_default_context()
