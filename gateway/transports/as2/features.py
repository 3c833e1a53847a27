"""What the AS2 version of a link entails. Source: RFC 6017, draft-ietf-ediint-rfc4130bis sections 6.1 and 6.2."""

from __future__ import annotations

from typing import Final

from gateway.transports.as2.algorithms import Policy, policy_of
from gateway.transports.as2.errors import UnusableTerms
from partners.profiles import Algorithms, As2Terms

#: Only what we really do, both ways: RFC 6362. The exchange of certificates (CEM) and restarts are not.
FEATURES: Final = "multiple-attachments"
#: ``name:major.minor``, in lower case; the same whatever is sent, so that it tells nothing of one machine.
PRODUCT: Final = "supplier-gateway:0.1"
_VERSIONS: Final = ("1.2", "1.3")


def feature_headers(terms: As2Terms) -> dict[str, str]:
    """What every message and receipt of ours says of us.

    Raises:
        UnusableTerms: the link is of a version we do not speak.
    """
    if terms.as2_version not in _VERSIONS:
        raise UnusableTerms(f"the AS2 version {terms.as2_version!r} is none of {', '.join(_VERSIONS)}")
    headers = {"AS2-Version": terms.as2_version, "EDIINT-Features": FEATURES}
    return headers if terms.as2_version == "1.2" else {**headers, "AS2-Product": PRODUCT}


def link_policy(terms: As2Terms) -> Policy:
    """The algorithms of a link: one of version 1.3 is no legacy link, whatever its terms say."""
    if terms.as2_version != "1.2" and terms.algorithms is Algorithms.LEGACY:
        return policy_of(Algorithms.SECURE)
    return policy_of(terms.algorithms)
