"""API keys: 256 random bits, shown once, kept as their SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Final

from django.db import models

from partners.models import choices
from partners.models.choices import ApiEnvironment
from partners.models.partner import TradingPartner

_SHOWN: Final = 8  # characters of the random part that stay visible: 48 of its 256 bits
_RANDOM: Final = re.compile(r"\A[A-Za-z0-9_-]{43}\Z")  # 43 characters of base64 are 256 bits


class ApiKey(models.Model):
    """One key of one partner. Two may be in use at once, so a key is replaced without a gap."""

    partner = models.ForeignKey(TradingPartner, models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=100, blank=True, help_text="Who uses it, e.g. Warehouse script.")
    env = models.CharField(
        "environment",
        max_length=8,
        choices=choices.api_environments,
        default=ApiEnvironment.LIVE.value,
        help_text="A test key never touches live documents.",
    )
    prefix = models.CharField(max_length=32, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}…" if self.prefix else "API key"

    def new_secret(self) -> str:
        """Give this key its secret and return it; the caller saves the row and shows the secret once."""
        random = secrets.token_urlsafe(32)
        start = f"sgw_{self.env}_"
        secret = start + random
        self.prefix, self.digest = start + random[:_SHOWN], digest_of(secret)
        return secret

    @classmethod
    def issue(
        cls, partner: TradingPartner, env: ApiEnvironment, *, label: str = "", expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key.

        Returns:
            The row and the secret. The secret is nowhere else.
        """
        key = cls(partner=partner, env=env, label=label, expires_at=expires_at)
        secret = key.new_secret()
        key.save(force_insert=True)
        return key, secret

    def opens_with(self, secret: str) -> bool:
        """Whether this is its secret, compared in constant time."""
        return hmac.compare_digest(self.digest, digest_of(secret))

    def usable(self, now: datetime) -> bool:
        """Neither revoked nor expired at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def prefix_of(secret: str) -> str | None:
    """The visible start of a secret, None when it does not look like one of ours."""
    for env in ApiEnvironment:
        start = f"sgw_{env}_"
        if secret.startswith(start) and _RANDOM.match(secret[len(start) :]):
            return secret[: len(start) + _SHOWN]
    return None


def digest_of(secret: str) -> str:
    # A plain hash: the secret has 256 random bits, so a slow one would protect nothing.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
