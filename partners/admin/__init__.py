"""The admin pages of procurement and operators: everything about a partner is set up here."""

from partners.admin.identity import OwnIdentityAdmin
from partners.admin.partner import TradingPartnerAdmin

__all__ = ["OwnIdentityAdmin", "TradingPartnerAdmin"]
