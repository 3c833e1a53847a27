"""What a partner still lacks before documents can flow: the onboarding checklist, worked out from its profile."""

from __future__ import annotations

from collections.abc import Iterator

from partners.profiles import As2Terms, Channel, Direction, Profile


def gaps(profile: Profile, *, has_api_key: bool) -> list[str]:
    """What is missing, one sentence each with what to do; empty when the partner is ready.

    Args:
        profile: as the directory gives it now; certificates that are not usable now are missing.
        has_api_key: whether the partner has a usable API key, which is no part of a profile.
    """
    return list(_gaps(profile, has_api_key))


def _gaps(profile: Profile, has_api_key: bool) -> Iterator[str]:
    agreements = profile.agreements
    if not profile.supplier_numbers:
        yield "No supplier number: orders from the ERP cannot find this partner. Add the number the ERP uses."
    if not agreements:
        yield "No document agreement: nothing is exchanged. Add one row for each document and direction."
    if any(agreement.format == "x12" for agreement in agreements) and not (profile.x12.our_id and profile.x12.their_id):
        yield "X12 is agreed but there are no X12 terms: add their ISA qualifier and identifier."
    directions = {agreement.direction for agreement in agreements if agreement.channel is Channel.AS2}
    if directions and profile.as2 is None:
        yield "AS2 is agreed but there is no AS2 link: add their AS2 name and address."
    elif profile.as2 is not None and directions:
        yield from _as2_gaps(profile.as2, directions)
    called = [a.channel for a in agreements if a.channel in (Channel.REST, Channel.PORTAL_JSON)]
    if called and not has_api_key:
        yield "The REST API or portal JSON is agreed but there is no usable API key: make one and hand it over."


def _as2_gaps(terms: As2Terms, directions: set[Direction]) -> Iterator[str]:
    sends, receives = Direction.OUTBOUND in directions, Direction.INBOUND in directions
    if sends and terms.url is None:
        yield "We send over AS2 but their address is empty: ask for the URL of their AS2 server."
    if not terms.their_signing and ((receives and terms.signed) or (sends and terms.signed_mdn)):
        yield "No certificate of theirs verifies signatures now: upload their signing certificate."
    if not terms.their_encryption and sends and terms.encrypted:
        yield "No certificate of theirs is in use to encrypt to: upload their encryption certificate."
    if not terms.our_signing and ((sends and terms.signed) or receives):
        yield "We have no key in use to sign messages and receipts: make one on the page of our own identity."
    if not terms.our_decryption and receives and terms.encrypted:
        yield "We have no key to decrypt with: make one on the page of our own identity and send them its certificate."
    if terms.http.presents_certificate and terms.http.client_certificate is None:
        yield "Their server asks for a client certificate and we have none in use: add one for TLS to our own identity."
    if sends and terms.async_mdn and terms.our_url is None:
        yield "Their receipts come later but our address is empty: enter our AS2 address on the page of our own identity."
    if receives and terms.their_tls == ():
        yield "They must present a client certificate and none of theirs is accepted now: upload the one they present."
    if terms.http.user and not terms.http.password:
        yield "Their server asks for a user name and password and the password is empty: enter it."
