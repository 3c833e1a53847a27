"""REST v1: orders to read, answers to them, invoices and inventory advices to send, submissions to follow, a check without sending.

Every view sees one principal (``principal``), every error is a problem document (``problems``), every body that is sent goes
through ``submissions``. What belongs to another partner does not exist.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Final

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from edi_maps import formats
from gateway import archives, order_book
from gateway.endpoints import orders, submissions
from gateway.endpoints.principal import IsPartner, caller_of
from gateway.endpoints.problems import Problem
from gateway.endpoints.submissions import DOCUMENTS
from gateway.models import Transmission
from partners.profiles import Channel, Direction

#: Where a submission can come from; what came by AS2 is answered by AS2.
_CHANNELS: Final = (Channel.REST, Channel.PORTAL_JSON)


class PurchaseOrders(APIView):
    """GET /v1/purchase-orders?number=&state=&updated_since=&cursor=&limit="""

    def get(self, request: Request) -> Response:
        page = orders.page(caller_of(request).profile.id, request)
        following = f"{request.path}?{page.next}" if page.next else None
        body = {
            "results": [orders.summary(told) for told in page.orders],
            "next": following,
            "poll_from": page.poll_from.isoformat(),
        }
        return Response(body, headers={"Link": f'<{following}>; rel="next"'} if following else None)


class PurchaseOrder(APIView):
    """GET /v1/purchase-orders/<id>: the revision the supplier was told last, and how far each line is."""

    def get(self, request: Request, uid: uuid.UUID) -> Response:
        told = orders.one(caller_of(request).profile.id, uid)
        return Response(orders.detail(told), headers={"ETag": told.etag})


class Revisions(APIView):
    """GET /v1/purchase-orders/<id>/revisions: every revision the supplier was told, oldest first."""

    def get(self, request: Request, uid: uuid.UUID) -> Response:
        told = orders.one(caller_of(request).profile.id, uid)
        return Response(
            {
                "revisions": [
                    {
                        "revision": one.order_revision,
                        "etag": orders.etag(told.order.number, one.order_revision or 0),
                        "sent_at": one.at.isoformat(),
                        "url": f"{request.path}/{one.order_revision}",
                    }
                    for one in orders.revisions(told)
                ]
            }
        )


class Revision(APIView):
    """GET /v1/purchase-orders/<id>/revisions/<n>: one revision as it was sent."""

    def get(self, request: Request, uid: uuid.UUID, number: int) -> Response:
        told = orders.one(caller_of(request).profile.id, uid)
        for one in orders.revisions(told):
            if one.order_revision == number:
                return Response(
                    {"revision": number, "sent_at": one.at.isoformat(), "order": order_book.as_told(one)},
                    headers={"ETag": orders.etag(told.order.number, number)},
                )
        raise Problem("not-found", f"Revision {number} of this order was never sent to you.")


class Submit(APIView):
    """POST /v1/acknowledgments, ship-notices, invoices and inventory-advices: a canonical record in JSON, once per key."""

    def post(self, request: Request, slug: str) -> HttpResponse:
        profile = caller_of(request).profile
        agreement = submissions.agreement_for(profile, DOCUMENTS[slug], Direction.INBOUND, Channel.REST)
        if agreement.format != "canonical_json":
            raise Problem("no-agreement", f"{agreement.document} is agreed as {agreement.format}, not as JSON.")
        key = submissions.idempotency_key(request)
        if not key:
            raise Problem("idempotency-key-missing", "The request has no Idempotency-Key.")
        condition = request.headers.get("If-Match")
        precondition = partial(orders.check_if_match, condition, profile.id) if condition is not None else None
        return submissions.submit(request, agreement=agreement, key=key, precondition=precondition)


class Submission(APIView):
    """GET /v1/submissions/<id>: validation, business answer and delivery to the ERP, each by itself."""

    def get(self, request: Request, uid: uuid.UUID) -> Response:
        row = Transmission.objects.filter(
            uid=uid, partner_id=caller_of(request).profile.id, direction=Direction.INBOUND, channel__in=_CHANNELS
        ).first()
        if row is None:
            left = archives.by_uid(Transmission, uid)
            if left is not None and left.partner_id == caller_of(request).profile.id:
                raise Problem("archived", f"This submission is in archive {left.pk}, of {left.month:%Y-%m}.")
            raise Problem("not-found", "You have no submission under this address.")
        standing = submissions.standing(row)
        moving = standing["state"] in ("received", "validating", "accepted", "accepted_with_notes")
        return Response(standing, headers={"Retry-After": "1"} if moving else None)


class Validate(APIView):
    """POST /v1/validate: everything that is wrong with a canonical record; nothing is kept. Any key of a partner will do."""

    permission_classes = (IsPartner,)

    def post(self, request: Request) -> Response:
        reading = formats.read("canonical_json", submissions.json_body(request))
        return Response(
            {
                "verdict": reading.verdict,
                "document": reading.type,
                "findings": [found.as_dict() for found in reading.findings],
            }
        )
