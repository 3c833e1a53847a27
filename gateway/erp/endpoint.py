"""Where one ERP answers, and how long we wait for it: what every adapter is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpEndpoint:
    """Connection settings of one ERP connection.

    Raises:
        ValueError: a setting that could never work, in words for whoever entered it.
    """

    code: str  #: the ERP connection's own name; part of every order's business key
    base_url: str  #: http(s), without query; ``/v1/…`` is appended
    token: str = field(repr=False)  #: bearer token
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 20.0  #: shorter than the lease of a delivery, or two workers would send it
    page_size: int = 200  #: orders per page of a snapshot

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"ERP {self.code}: the address must look like https://erp.example.com/api, without query.")
        if not self.token or not all("!" <= character <= "~" for character in self.token):
            raise ValueError(f"ERP {self.code}: the token must be printable ASCII without spaces.")
        if self.connect_timeout_s <= 0 or self.read_timeout_s <= 0:
            raise ValueError(f"ERP {self.code}: time-outs must be more than zero seconds.")
        if not 1 <= self.page_size <= 1000:
            raise ValueError(f"ERP {self.code}: the page size must be between 1 and 1000.")
