"""The tables: who the partners are, on what terms, and with which keys."""

from partners.models.api_key import ApiKey
from partners.models.as2 import LINK_PASSWORDS, As2Link, HttpPassword, LinkPassword, ProxyPassword
from partners.models.certificate import Certificate, PrivateKey
from partners.models.choices import ApiEnvironment, CertificateRole, ControlNumberKind
from partners.models.control_number import ControlNumber
from partners.models.identity import OwnIdentity
from partners.models.partner import DocumentAgreement, SupplierNumber, TradingPartner
from partners.models.secret import KeystoreCanary, SealedSecret
from partners.models.terms import AckTerms, X12Terms

__all__ = [
    "LINK_PASSWORDS",
    "AckTerms",
    "ApiEnvironment",
    "ApiKey",
    "As2Link",
    "Certificate",
    "CertificateRole",
    "ControlNumber",
    "ControlNumberKind",
    "DocumentAgreement",
    "HttpPassword",
    "KeystoreCanary",
    "LinkPassword",
    "OwnIdentity",
    "PrivateKey",
    "ProxyPassword",
    "SealedSecret",
    "SupplierNumber",
    "TradingPartner",
    "X12Terms",
]
