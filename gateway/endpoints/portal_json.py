"""Portal JSON: orders to read and answers to send in the partner's own shape, by the map sheet its agreement names.

The same principal, the same rules and the same answers as REST; only the bodies are the partner's. Pointers in a problem
point into the partner's own JSON.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from edi_maps import formats
from gateway.endpoints import orders, submissions
from gateway.endpoints.orders import Told
from gateway.endpoints.principal import caller_of
from gateway.endpoints.problems import Problem
from gateway.endpoints.submissions import DOCUMENTS
from partners.profiles import Agreement, Channel, Direction

log = logging.getLogger(__name__)


class Orders(APIView):
    """GET /portal-json/v1/orders, filters and pages as GET /v1/purchase-orders; the next page is in the header Link."""

    def get(self, request: Request) -> Response:
        agreement = _orders_agreement(request)
        page = orders.page(caller_of(request).profile.id, request)
        link = {"Link": f'<{request.path}?{page.next}>; rel="next"'} if page.next else None
        return Response([_entry(told, agreement) for told in page.orders], headers=link)


class Order(APIView):
    """GET /portal-json/v1/orders/<id>: one order, nothing but the partner's own shape; its revision is the ETag."""

    def get(self, request: Request, uid: uuid.UUID) -> Response:
        agreement = _orders_agreement(request)
        told = orders.one(caller_of(request).profile.id, uid)
        return Response(_in_their_shape(told, agreement), headers={"ETag": told.etag})


class Submit(APIView):
    """POST /portal-json/v1/documents/<acknowledgments | ship-notices>.

    Without an Idempotency-Key the content is its own: the same body again is a repeat.
    """

    def post(self, request: Request, slug: str) -> HttpResponse:
        profile = caller_of(request).profile
        agreement = submissions.agreement_for(profile, DOCUMENTS[slug], Direction.INBOUND, Channel.PORTAL_JSON)
        body = submissions.json_body(request)
        key = submissions.idempotency_key(request) or f"sha256:{hashlib.sha256(body).hexdigest()}"
        return submissions.submit(request, agreement=agreement, key=key)


def _orders_agreement(request: Request) -> Agreement:
    profile = caller_of(request).profile
    return submissions.agreement_for(profile, "purchase_order", Direction.OUTBOUND, Channel.PORTAL_JSON)


def _entry(told: Told, agreement: Agreement) -> dict[str, Any]:
    """One order in a list; one that cannot be said in this shape does not hide its neighbours."""
    try:
        order, problem = _in_their_shape(told, agreement), None
    except Problem as unusable:
        order, problem = None, unusable.document(f"/portal-json/v1/orders/{told.order.uid}")
    entry = {
        "id": str(told.order.uid),
        "revision": told.revision,
        "etag": told.etag,
        "updated_at": told.order.updated_at.isoformat(),
        "url": f"/portal-json/v1/orders/{told.order.uid}",
        "order": order,
    }
    return entry | ({"problem": problem} if problem else {})


def _in_their_shape(told: Told, agreement: Agreement) -> Any:
    """The order by the partner's map sheet.

    Raises:
        Problem: the sheet cannot say it, or is gone (500): staff must act, the supplier cannot.
    """
    try:
        return json.loads(formats.write(agreement.format, told.record, sheet=agreement.sheet))
    except (ValueError, LookupError) as error:
        log.error("portal json: order=%s sheet=%s: %s", told.order.uid, agreement.sheet, type(error).__name__)
        raise Problem("map-unusable", f"Order {told.order.number} cannot be written in your shape.") from error
