"""What the peers do in a way of their own, why, and what the tests do about it. Our checks are the same for all of them.

pyas2lib 1.4.4, and django-pyas2 1.2.3 with pyas2lib 1.4.3 inside

* Computes no MIC for a message that is not signed, sent or received, and names none in its receipt. Such a receipt proves
  nothing to us, whatever it says: ``names_no_mic``.
* Ends every line of a document with CR LF before it protects it, unless its type is application/octet-stream: ``as_sent``.
* Writes OAEP and PSS without their parameters and reads OAEP with SHA-1 only: nobody else reads the first, so it sends
  neither, and we send it OAEP with SHA-1.
* Puts a name with a space into quotes twice in the headers of its receipts, also those it posts by themselves. Our door
  looks the pair of names up as it stands and then as it was meant.
* Signs with one key and opens with one, and knows RSA, AES-CBC and 3DES only.

django-pyas2 alone

* Has no setting for the authorities of a partner's server, only "check" or not: its HTTP client is told by its environment
  variable. It cannot show a client certificate at all.
* Looks the message of an asynchronous receipt up by the recipient as it is spelled there, quotes and all, while RFC 4130
  has us repeat the name as it came: under a name of ours with a space its asynchronous receipts fail. Ours has none here.
* Keeps no MIC of what it sends, so every receipt passes; the peer program keeps it and compares.
* Marks an asynchronous receipt as sent whatever the answer was.

libas2 0.8.2

* Computes a MIC only where it verifies a signature: ``names_no_mic``. Compares none; the peer program does.
* Its MIME parser takes octets for characters and up to 100 KB: it is handed Latin-1 text, and what it kept is made octets again.
* Leaves the line end that belongs to the boundary on a signed document; the peer program takes it off.
* Encrypts with OAEP and SHA-512 whatever is agreed. We read it; rows with "oaep" make it SHA-256.
* Asks for a receipt that may be signed, with SHA-256, where it should ask for one that is not: there are no such rows.
* Puts AES-GCM into EnvelopedData, which is no CMS; knows no compression.
* Posts the document in base64 with a Content-Transfer-Encoding in the HTTP header. We undo it.
* Opens RSA PKCS #1 v1.5 only when Node is told to by a flag; Node prints a warning for it.
"""

from __future__ import annotations

from tests.interop.cases import Case


def names_no_mic(case: Case) -> bool:
    """Whether the peer's receipt for our message has no Received-Content-MIC."""
    return not case.is_signed


def compares_no_mic(case: Case) -> bool:
    """Whether the peer has no MIC to compare with the one our receipt names."""
    return not case.is_signed


def as_sent(case: Case, payload: bytes) -> bytes:
    """What the peer makes of a document before it protects it."""
    if "pyas2" in case.peer and case.content == "lf" and (case.protection != "plain" or case.compression != "none"):
        return payload.replace(b"\n", b"\r\n")
    return payload
