"""One message in plain words: who signed it with what, which receipt was asked for and given, what belongs to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from gateway.console.access import row_of, show, staff_page
from gateway.console.inspection import PARTS, visible
from gateway.console.orders import facts_of
from gateway.console.tries import with_tries
from gateway.events import EVENTS
from gateway.models import Event, Transmission, TransmissionState
from gateway.pipeline import evidence
from partners import history
from partners.history import KeptCertificate
from partners.profiles import Channel, Direction

_MAX_EVENTS: Final = 100
_MAX_BELONGINGS: Final = 60
_DISPOSITION: Final = re.compile(r"^Disposition:[^;\r\n]*;[ \t]*([^\r\n]{1,200})", re.IGNORECASE | re.MULTILINE)
_STATES: Final = {
    TransmissionState.RECEIVED: "came and is not yet stored",
    TransmissionState.STORED: "stored; waits to be read, or is kept as it is",
    TransmissionState.ANSWERED: "read",
    TransmissionState.REFUSED: "refused at the door",
    TransmissionState.PREPARED: "waits to be sent",
    TransmissionState.SENT: "taken by the partner’s server; its receipt is awaited",
    TransmissionState.RECEIPTED: "the partner has it, by a valid receipt",
    TransmissionState.REJECTED: "rejected by the partner’s receipt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of a page."""

    label: str
    text: str
    address: str = ""  #: where the text leads
    more: str = ""  #: behind it, less prominent


@require_safe
@staff_page("gateway.view_transmission")
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """A message; with ``?proof=1`` also what the stored rows prove about it, worked out anew."""
    rows = Transmission.objects.select_related("partner", "raw", "payload", "covered", "answer", "about")
    row = row_of(rows.defer("raw__data", "payload__data", "covered__data"), pk)
    over_as2 = row.channel == Channel.AS2 and row.format != "mdn"
    return show(
        request,
        "console/transmission.html",
        title=_title(row),
        transmission=row,
        state=_STATES.get(TransmissionState(row.state), row.state),
        protection=list(_protection(row)) if over_as2 else [],
        receipt=list(_receipt(row)) if over_as2 else [],
        parts=[(name, words, blob) for name, words in PARTS.items() if (blob := getattr(row, name)) is not None],
        quarantined=row.state == TransmissionState.REFUSED and row.payload is not None,
        belongs=list(_belongings(row)),
        documents=row.documents.order_by("pk")[:_MAX_BELONGINGS],
        interchanges=row.interchanges.order_by("pk")[:_MAX_BELONGINGS],
        headers=[(visible(str(name)), visible(str(value))) for name, value in row.headers.items()],
        deliveries=with_tries(row.deliveries.all()),
        cases=row.cases.order_by("-pk")[:_MAX_BELONGINGS],
        events=[_moment(event) for event in Event.objects.filter(transmission=row).order_by("pk")[:_MAX_EVENTS]],
        may_prove=over_as2,
        proof=evidence.prove(row) if over_as2 and request.GET.get("proof") == "1" else None,
    )


def _title(row: Transmission) -> str:
    kind = {"mdn": "Receipt", "file": "File"}.get(row.format, "Message")
    way = "to" if row.direction == Direction.OUTBOUND else "from"
    return f"{kind} {row.pk} {way} {row.partner.code}"


# ---------------------------------------------------------------------------------------------------------- protection
def _protection(row: Transmission) -> Iterator[Fact]:
    known: Mapping[str, Any] = row.evidence
    if not known:
        unknown = (
            "not known: nothing in it was proved" if row.direction == Direction.INBOUND else "it has not been made yet"
        )
        yield Fact(label="Protected by", text=unknown)
        return
    encrypted_for = list(known.get("encrypted_for") or [])
    found = history.called(
        {str(known.get(name)) for name in ("signer", "decrypted_with", "signed_with")} | set(encrypted_for)
    )
    if row.direction == Direction.INBOUND:
        more = "expired, accepted in its days of grace" if known.get("signer_expired") else ""
        yield _certificate(
            "Signed by the partner with", known.get("signer"), found, none="nothing: it came unsigned", more=more
        )
        yield _certificate(
            "Opened with our certificate", known.get("decrypted_with"), found, none="none: it came unencrypted"
        )
        yield Fact(label="Layers, the outermost first", text=", ".join(map(str, known.get("layers", []))) or "none")
        return
    yield _certificate("Signed with our certificate", known.get("signed_with"), found, none="nothing: it left unsigned")
    for fingerprint in encrypted_for or [None]:
        yield _certificate("Encrypted for the partner’s", fingerprint, found, none="nobody: it left unencrypted")


def _certificate(
    label: str, fingerprint: str | None, found: Mapping[str, KeptCertificate], *, none: str, more: str = ""
) -> Fact:
    """A certificate by name and fingerprint, leading to the page of its owner."""
    if fingerprint is None:
        return Fact(label=label, text=none)
    certificate = found.get(fingerprint)
    if certificate is None:
        return Fact(label=label, text=evidence.short(fingerprint), more="it is in no row any more")
    address = (
        reverse("admin:partners_tradingpartner_change", args=[certificate.partner_id])
        if certificate.partner_id is not None
        else reverse("admin:partners_ownidentity_change", args=[certificate.own_identity_id])
    )
    return Fact(label=label, text=visible(evidence.named(certificate)), address=address, more=more)


# ------------------------------------------------------------------------------------------------------------- receipt
def _receipt(row: Transmission) -> Iterator[Fact]:
    yield Fact(label="Receipt asked for", text=_asked(row.headers))
    found = evidence.receipt_of(row)
    if found is None:
        yield Fact(label="Receipt", text="none is here")
        return
    said = _DISPOSITION.search(found[1].decode("latin-1"))
    given = "Receipt given" if row.direction == Direction.INBOUND else "Receipt that came"
    yield Fact(label=given, text=visible(said[1].strip()) if said else "it cannot be read here")
    signer = row.evidence.get("receipt_signer")
    if row.direction == Direction.OUTBOUND and row.state == TransmissionState.RECEIPTED:
        yield _certificate("Receipt signed with", signer, history.called({str(signer)}), none="nothing: it is unsigned")
        yield Fact(label="Receipt since", text=f"{evidence.moment_of(row):%d %b %Y %H:%M:%S} UTC")


def _asked(headers: Mapping[str, Any]) -> str:
    by_name = {str(name).lower(): visible(str(value)) for name, value in headers.items()}
    if "disposition-notification-to" not in by_name:
        return "no"
    signed = "signed" if "disposition-notification-options" in by_name else "unsigned"
    address = by_name.get("receipt-delivery-option")
    return f"{signed}, at {address}" if address else f"{signed}, in the answer"


# ------------------------------------------------------------------------------------------------------------ the rest
def _belongings(row: Transmission) -> Iterator[Fact]:
    if row.about is not None:
        yield _belonging("Belongs to", row.about)
    for one in row.belongings.order_by("pk")[:_MAX_BELONGINGS]:
        again = one.direction == row.direction == Direction.OUTBOUND and one.format != "mdn"
        label = "Receipt" if one.format == "mdn" else "Sent anew as" if again else "Came with it"
        yield _belonging(label, one)


def _belonging(label: str, row: Transmission) -> Fact:
    name = row.file_name or row.message_id or f"transmission {row.pk}"
    where = f", to {row.evidence['to']}" if row.evidence.get("to") else ""
    return Fact(
        label=label,
        text=visible(name),
        address=reverse("console:transmission", args=[row.pk]),
        more=visible(f"{row.direction}, {row.state}{where}"),
    )


def _moment(event: Event) -> tuple[Event, str, str]:
    """An event, its title, and what is short enough to be read of its data."""
    kind = EVENTS.get(event.name)
    return event, kind.title if kind else event.name, facts_of(event)
