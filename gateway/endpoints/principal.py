"""Who calls: an API key, resolved to one partner principal, and how often it may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from gateway import logs
from gateway.endpoints.problems import Problem
from partners import directory
from partners.directory import ApiCaller
from partners.models.choices import ApiEnvironment
from partners.profiles import PartnerState

if TYPE_CHECKING:
    from rest_framework.views import APIView

#: Which keys work in which state of the partnership: test keys never see live documents, nor the reverse.
_ENVIRONMENT = {PartnerState.TESTING: ApiEnvironment.TEST, PartnerState.LIVE: ApiEnvironment.LIVE}


def caller_of(request: Request) -> ApiCaller:
    """The principal behind a request that passed ``IsPartner``."""
    return cast(ApiCaller, request.user)


class FailedSignIns(SimpleRateThrottle):
    """Counts calls without a valid key, per address; valid ones from the same address are never held up."""

    scope = "failed_sign_in"

    def get_cache_key(self, request: Request, view: APIView | None) -> str:
        return f"failed-sign-in:{self.get_ident(request)}"


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer sgw_live_…`` (RFC 6750)."""

    def authenticate(self, request: Request) -> tuple[ApiCaller, str] | None:
        """The principal and the key's visible prefix; None when the request names no key at all.

        Raises:
            AuthenticationFailed: not a key of ours, or one that is expired or revoked; one answer for all of them.
            Throttled: too many of those from this address.
        """
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        caller = directory.by_api_key(secret.strip()) if scheme.lower() == "bearer" else None
        if caller is not None:
            logs.bind(partner=caller.profile.code)
            return caller, caller.prefix
        failed = FailedSignIns()
        if not failed.allow_request(request, cast("APIView", None)):
            raise Throttled(failed.wait())
        raise AuthenticationFailed("This is not an API key that is in use.")

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="supplier-gateway"'


class IsPartner(BasePermission):
    """A key is needed, and the partnership must not be suspended."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.auth is None:
            return False
        if caller_of(request).profile.state is PartnerState.SUSPENDED:
            raise Problem("partner-inactive", "Your partnership is suspended.")
        return True


class IsActivePartner(IsPartner):
    """The partnership is being tested or live, and the key belongs to that environment."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        caller = caller_of(request)
        wanted = _ENVIRONMENT.get(caller.profile.state)
        if wanted is None:
            raise Problem("partner-inactive", f"Your partnership is in state “{caller.profile.state}”.")
        if caller.env is not wanted:
            raise Problem(
                "wrong-environment", f"This is a {caller.env} key, and your partnership is {caller.profile.state}."
            )
        return True


class PerKey(SimpleRateThrottle):
    """How often one key may call. Counted in this process's cache: a hint to slow down, not a meter."""

    scope = "api_key"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        return None if request.auth is None else f"api-key:{caller_of(request).key_id}"
