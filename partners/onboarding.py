"""Sets up partners and our own identities from plain data, again and again with the same result.

What the data names is made or changed; what it does not name stays as it is, and nothing is deleted. Every value passes the
same checks as in the admin. All problems are reported at once, each with its place, and then nothing is written.

A partner::

    {"code": "ACME", "name": "ACME Castings", "state": "testing", "notes": "…",
     "supplier_numbers": ["0000100020"],
     "own_identity": "Main plant",                      may be absent when we have one active identity
     "x12": {"their_qualifier": "ZZ", "their_id": "ACMEEDI", …}         columns of X12Terms
     "as2": {"their_name": "ACME-AS2", "url": "https://…", …}            columns of As2Link, "http_password" and "proxy_password"
     "ack": {"due_after_hours": 48, …}                                   columns of AckTerms
     "agreements": [{"document": "purchase_order", "direction": "outbound", "channel": "as2", "format": "x12"}],
     "certificates": [{"certificate": "-----BEGIN …", "role": "both", "active_from": "2027-03-01T00:00:00Z"}]}

One of our identities::

    {"name": "Main plant", "as2_name": "PLANT-AS2", "as2_url": "https://…", "isa_qualifier": "01", "isa_id": "004512377", "group_id": "",
     "certificates": [{"certificate": "-----BEGIN …", "private_key": "-----BEGIN …"}],
     "make_certificate": true}                          makes a key and certificate when there is none usable
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models, transaction
from django.utils import timezone

from partners import certificates
from partners.certificates import CertificateError, CertificateFacts
from partners.keystore import KeystoreError
from partners.models import (
    LINK_PASSWORDS,
    AckTerms,
    As2Link,
    Certificate,
    DocumentAgreement,
    LinkPassword,
    OwnIdentity,
    SupplierNumber,
    TradingPartner,
    X12Terms,
)
from partners.models.choices import FORMATS_ON, CertificateRole

#: How long a certificate that we make for ourselves is valid.
OWN_CERTIFICATE_VALID_FOR: Final = timedelta(days=3 * 365)

Row = TypeVar("Row", bound=models.Model)


class OnboardingError(ValueError):
    """The data cannot be used; nothing was written."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)  #: each with its place, e.g. "ACME as2.url: …"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Row]):
    """What setting up a partner or an identity did."""

    row: Row
    created: bool
    changes: tuple[str, ...]  #: for people, "+ …" added, "~ …" changed; empty when everything was so already


def set_up(spec: Mapping[str, Any]) -> TradingPartner:
    """Create or update the trading partner that ``spec`` describes.

    Raises:
        OnboardingError: with every problem found.
    """
    return set_up_partner(spec).row


def own_identity(spec: Mapping[str, Any], *, now: datetime | None = None) -> OwnIdentity:
    """Create or update the identity of ours that ``spec`` describes.

    Raises:
        OnboardingError: with every problem found.
    """
    return set_up_own_identity(spec, now=now).row


def set_up_partner(spec: Mapping[str, Any]) -> Outcome[TradingPartner]:
    """As ``set_up``, and say what changed."""
    work = _Work("code", spec)
    with work.all_or_nothing():
        plain, parts = work.split(
            spec,
            TradingPartner,
            also=("supplier_numbers", "own_identity", "x12", "as2", "ack", "agreements", "certificates"),
        )
        partner = work.find(TradingPartner, code=plain.get("code"))
        created = partner._state.adding
        work.put(partner, plain, "")
        for place, number in work.items(parts, "supplier_numbers"):
            row = work.find(SupplierNumber, partner=partner, number=number)
            work.put(row, {"number": number}, place)
        _links(work, partner, parts)
        for place, agreement in work.mappings(parts, "agreements"):
            _agreement(work, partner, agreement, place)
        for place, certificate in work.mappings(parts, "certificates"):
            _certificate(work, certificate, place, partner=partner)
    return Outcome(partner, created, tuple(work.changes))


def set_up_own_identity(spec: Mapping[str, Any], *, now: datetime | None = None) -> Outcome[OwnIdentity]:
    """As ``own_identity``, and say what changed."""
    now = now or timezone.now()
    work = _Work("name", spec)
    with work.all_or_nothing():
        plain, parts = work.split(spec, OwnIdentity, also=("certificates", "make_certificate"))
        identity = work.find(OwnIdentity, name=plain.get("name"))
        created = identity._state.adding
        work.put(identity, plain, "")
        for place, certificate in work.mappings(parts, "certificates"):
            _certificate(work, certificate, place, own_identity=identity)
        wanted = parts.get("make_certificate") and not work.problems
        if wanted and not own_as2_certificates(identity, now=now).exists():
            work.changes.append(f"+ key and certificate {make_own_certificate(identity, now=now)}")
    return Outcome(identity, created, tuple(work.changes))


def own_as2_certificates(identity: OwnIdentity, *, now: datetime) -> models.QuerySet[Certificate]:
    """Those of one of our identities that sign or decrypt at ``now``: within their dates, with their key, not for TLS."""
    usable = Certificate.objects.accepted(now).filter(own_identity=identity, private_key__isnull=False)
    return usable.exclude(role=CertificateRole.TLS)


def make_own_certificate(identity: OwnIdentity, *, now: datetime, active_from: datetime | None = None) -> Certificate:
    """Make a key and a self-signed certificate for one of our identities, and store both.

    Args:
        active_from: when we begin to sign with it; None: at once.

    Raises:
        KeystoreError: the wrapping key is not the one this database was sealed with.
    """
    pem, key = certificates.self_signed(identity.as2_name, now=now, valid_for=OWN_CERTIFICATE_VALID_FOR)
    with transaction.atomic():
        certificate = Certificate.objects.create(own_identity=identity, certificate_pem=pem, active_from=active_from)
        certificate.keep_private_key(certificates.read_private_key(key))
    return certificate


def _links(work: _Work, partner: TradingPartner, parts: Mapping[str, Any]) -> None:
    """The one row each of X12, AS2 and acknowledgment terms."""
    ours = work.our_identity(parts["own_identity"]) if "own_identity" in parts else None
    _link(work, work.find(X12Terms, partner=partner), "x12", parts, ours)
    as2 = work.find(As2Link, partner=partner)
    _link(work, as2, "as2", parts, ours)
    if isinstance(parts.get("as2"), Mapping):
        for name, (kind, _) in LINK_PASSWORDS.items():
            if name in parts["as2"]:
                work.password(as2, kind, parts["as2"][name], f"as2.{name}")
    if "ack" in parts:
        work.put(work.find(AckTerms, partner=partner), work.mapping(parts["ack"], "ack", AckTerms), "ack")


def _link(work: _Work, row: X12Terms | As2Link, place: str, parts: Mapping[str, Any], ours: OwnIdentity | None) -> None:
    if place not in parts and (ours is None or row._state.adding):
        return
    secrets = tuple(LINK_PASSWORDS) if isinstance(row, As2Link) else ()
    values = work.mapping(parts.get(place, {}), place, type(row), also=secrets)
    if ours is not None:
        work.put(row, {**values, "own_identity": ours}, place)
    elif row.own_identity_id is not None:  # the one it has, or the default: our only active one
        work.put(row, values, place)
    elif "own_identity" not in parts:
        work.problem("own_identity", "we have no active identity, or several: name the one they deal with.")


def _agreement(work: _Work, partner: TradingPartner, spec: Mapping[str, Any], place: str) -> None:
    values, _ = work.split(spec, DocumentAgreement, place=place)
    row = work.find(
        DocumentAgreement, partner=partner, document=values.get("document"), direction=values.get("direction")
    )
    usual = {str(channel): formats[0] for channel, formats in FORMATS_ON.items()}
    if row._state.adding and "format" not in values and str(values.get("channel")) in usual:
        values = {**values, "format": usual[str(values["channel"])]}
    work.put(row, values, place)


def _certificate(work: _Work, spec: Mapping[str, Any], place: str, **owner: models.Model) -> None:
    values, extra = work.split(spec, Certificate, place=place, also=("certificate", "private_key"))
    facts = work.certificate(extra.get("certificate"), f"{place}.certificate")
    if facts is None:
        return
    moments = {name: work.moment(values[name], f"{place}.{name}") for name in values if name.startswith("active_")}
    row = work.find(Certificate, **owner, fingerprint=facts.fingerprint)
    if row._state.adding:
        row.certificate_pem = facts.pem
    if work.put(row, {**values, **moments}, place) and "private_key" in extra:
        work.private_key(row, extra["private_key"], f"{place}.private_key")


class _Work:
    """One run over one description: what was changed, and everything that is wrong with it."""

    def __init__(self, key: str, spec: Mapping[str, Any]) -> None:
        self.changes: list[str] = []
        self.problems: list[str] = []
        self._who = reprlib.repr(spec.get(key)).strip("'")

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        with transaction.atomic():
            yield
            if self.problems:
                raise OnboardingError(self.problems)

    def problem(self, place: str, text: str) -> None:
        self.problems.append(f"{self._who} {place}: {text}" if place else f"{self._who}: {text}")

    def split(
        self, spec: Mapping[str, Any], model: type[models.Model], *, also: tuple[str, ...] = (), place: str = ""
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Part a description into columns of ``model`` and the rest that ``also`` names; anything else is a problem."""
        columns = [
            field.name
            for field in model._meta.fields
            if field.editable and field.name not in ("id", "partner", "own_identity")
        ]
        allowed = [name for name in columns if name != "certificate_pem"] + list(also)
        for name in spec:
            if name not in allowed:
                self.problem(f"{place}.{name}".strip("."), f"no such name; there are {', '.join(sorted(allowed))}.")
        plain = {name: value for name, value in spec.items() if name in columns and name in allowed}
        return plain, {name: value for name, value in spec.items() if name in also}

    def find(self, model: type[Row], **key: Any) -> Row:
        """The row with that key, or a new one with its owner set."""
        owner = {name: value for name, value in key.items() if isinstance(value, models.Model)}
        known = all(isinstance(value, str) and _storable(value) for name, value in key.items() if name not in owner)
        if known and all(value.pk is not None for value in owner.values()):
            found = model._default_manager.filter(**key).first()
            if found is not None:
                return found
        return model(**owner)

    def put(self, row: models.Model, values: Mapping[str, Any], place: str) -> bool:
        """Set the values, check the row as a form would, save it when nothing at all is wrong; say what changed."""
        adding = row._state.adding
        before = {name: None if adding else getattr(row, name) for name in values}
        right_types = [
            self._right_type(row, name, value, f"{place}.{name}".strip(".")) for name, value in values.items()
        ]
        if not all(right_types):
            return False
        for name, value in values.items():
            setattr(row, name, value)
        unsaved = [
            field.name
            for field in row._meta.fields
            if isinstance(field, models.ForeignKey) and (owner := getattr(row, field.name, None)) and owner.pk is None
        ]
        try:
            row.full_clean(exclude=unsaved)
        except ValidationError as error:
            for column, texts in error.message_dict.items():
                name = "certificate" if column == "certificate_pem" else column
                self.problem(f"{place}.{name}".strip(".") if name != NON_FIELD_ERRORS else place, " ".join(texts))
            return False
        kind = str(row._meta.verbose_name)
        if adding:
            self.changes.append(f"+ {kind} {row}")
        changed = [name for name, old in before.items() if not adding and getattr(row, name) != old]
        self.changes += [f"~ {kind} {name}: {_shown(before[name])} → {_shown(getattr(row, name))}" for name in changed]
        if (adding or changed) and not self.problems:
            row.save()
        return not self.problems

    def items(self, parts: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
        """The items of a list, each with its place."""
        found = parts.get(name, [])
        if not isinstance(found, list | tuple):
            self.problem(name, "a list is wanted.")
            return
        yield from ((f"{name}[{index}]", item) for index, item in enumerate(found))

    def mappings(self, parts: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for place, item in self.items(parts, name):
            if isinstance(item, Mapping):
                yield place, item
            else:
                self.problem(place, "an object with names and values is wanted.")

    def mapping(
        self, value: object, place: str, model: type[models.Model], *, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The columns of one nested object."""
        if isinstance(value, Mapping):
            return self.split(value, model, also=also, place=place)[0]
        self.problem(place, "an object with names and values is wanted.")
        return {}

    def our_identity(self, name: object) -> OwnIdentity | None:
        row = OwnIdentity.objects.filter(name=name).first() if isinstance(name, str) and _storable(name) else None
        if row is None:
            self.problem("own_identity", f"we have no identity named {reprlib.repr(name)}.")
        return row

    def certificate(self, pem: object, place: str) -> CertificateFacts | None:
        if not isinstance(pem, str):
            self.problem(place, "the PEM text of a certificate is wanted.")
            return None
        try:
            # Whether it is one for AS2 the row's own check says, which knows its role.
            return certificates.read(pem.encode("ascii", "replace"), for_tls=True)
        except CertificateError as error:
            self.problem(place, str(error))
            return None

    def private_key(self, row: Certificate, pem: object, place: str) -> None:
        if not isinstance(pem, str):
            self.problem(place, "the PEM text of a private key is wanted.")
            return
        if row.sealed_key is not None:
            return  # a certificate has one key; it is here already
        try:
            row.keep_private_key(certificates.read_private_key(pem.encode("ascii", "replace")))
        except (CertificateError, KeystoreError) as error:
            self.problem(place, str(error))
        else:
            self.changes.append(f"+ private key of {row}")

    def password(self, link: As2Link, kind: type[LinkPassword], password: object, place: str) -> None:
        """Seal another password, or forget the one there is; neither is quoted anywhere."""
        if password is not None and not (isinstance(password, str) and password and _storable(password)):
            self.problem(place, "text that is not empty is wanted, or null to forget the password.")
        if self.problems:
            return
        kept = kind.objects.filter(link=link).first()
        try:
            if password is None and kept is not None:
                kept.delete()
                self.changes.append(f"- {kind.PURPOSE}")
            elif isinstance(password, str) and (kept is None or kept.reveal() != password.encode()):
                link.keep_password(kind, password)
                self.changes.append(f"{'~' if kept else '+'} {kind.PURPOSE}")
        except KeystoreError as error:
            self.problem(place, str(error))

    def moment(self, value: object, place: str) -> datetime | None:
        """A moment with its zone, from RFC 3339 text; None stays None."""
        if value is None or (isinstance(value, datetime) and value.tzinfo):
            return value
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.problem(place, f"{reprlib.repr(value)} is no moment with a zone, e.g. 2027-03-01T00:00:00Z.")
            return None
        return moment

    def _right_type(self, row: models.Model, name: str, value: object, place: str) -> bool:
        """Whether the value has the JSON type of its column; Django would turn 1.5 into 1 and a list into text."""
        field = row._meta.get_field(name)
        if (value is None and getattr(field, "null", False)) or isinstance(value, models.Model):
            return True
        for kind, types, words in _JSON_TYPES:
            if isinstance(field, kind):
                right = isinstance(value, types) and (kind is models.BooleanField or not isinstance(value, bool))
                if not right:
                    self.problem(place, f"{words} is wanted, not {reprlib.repr(value)}.")
                elif isinstance(value, str) and not _storable(value):
                    self.problem(place, "it holds a character that cannot be stored (NUL or half a surrogate pair).")
                    return False
                return right
        return True


_JSON_TYPES: Final[tuple[tuple[type[models.Field[Any, Any]], tuple[type, ...], str], ...]] = (
    (models.BooleanField, (bool,), "true or false"),
    (models.IntegerField, (int,), "a whole number"),
    (models.DecimalField, (int, float, str), "a number"),
    (models.CharField, (str,), "text"),
    (models.TextField, (str,), "text"),
    (models.JSONField, (list,), "a list"),
)


def _storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: object) -> str:
    return reprlib.repr(value) if isinstance(value, str | list) else str(value)
