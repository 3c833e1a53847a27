"""Several documents in one message: a multipart/related, its first part the root. Source: RFC 6362, RFC 2387."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.transports.as2.der import Octets
from gateway.transports.as2.file_names import content_disposition, file_name
from gateway.transports.as2.headers import printable
from gateway.transports.as2.mime import Entity, Part, media_type, new_boundary, parameters, split

#: The root and what comes with it.
MAX_DOCUMENTS: Final = 50
_COMPOUND: Final = {b"multipart/related", b"multipart/mixed"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """One more document in a message."""

    content: bytes = field(repr=False)  #: octet for octet, its transfer encoding undone
    content_type: str  #: with parameters, as sent; empty when the sender gave none
    file_name: str | None  #: as the sender calls it, without folders; a label, never a path


# ---------------------------------------------------------------------------------------------------------- writing
def document(content: bytes, content_type: str, name: str | None) -> Part:
    """The entity of one document, its octets as they are.

    Raises:
        ValueError: the content type cannot stand in a header.
    """
    fields = [("Content-Type", printable(content_type, "content type")), ("Content-Transfer-Encoding", "binary")]
    if name:
        fields.append(("Content-Disposition", content_disposition(name)))
    return Part(tuple(fields), [content])


def related(root: Part, attachments: Sequence[Attachment]) -> Part:
    """The root and its attachments as one entity: one signature and one MIC are over all of it.

    Raises:
        ValueError: there are too many, or a content type cannot stand in a header.
    """
    if len(attachments) >= MAX_DOCUMENTS:
        raise ValueError(f"a message holds at most {MAX_DOCUMENTS} documents")
    boundary = new_boundary()
    pieces: list[Octets] = []
    others = [document(other.content, other.content_type, other.file_name) for other in attachments]
    for part in (root, *others):
        pieces += [b"--%s\r\n" % boundary, *part.octets(), b"\r\n"]
    pieces.append(b"--%s--\r\n" % boundary)
    kind = media_type(dict(root.fields)["Content-Type"].encode("ascii")).decode("ascii")
    content_type = f'multipart/related; type="{kind}"; boundary="{boundary.decode()}"'
    return Part((("Content-Type", content_type), ("Content-Transfer-Encoding", "binary")), pieces)


# ---------------------------------------------------------------------------------------------------------- reading
def documents(entity: Entity) -> list[Attachment]:
    """What an opened message holds, the root first; the others in their order.

    A multipart/mixed is read alike. A multipart inside a part is that part's content.

    Raises:
        ValueError: the multipart is not closed, has text behind its end, no part or too many, or a part cannot be read.
    """
    if entity.media_type not in _COMPOUND:
        return [_read(entity)]
    said = parameters(entity.field(b"content-type"))
    multipart = split(entity.body, said.get(b"boundary", b""), most=MAX_DOCUMENTS)
    if multipart.epilogue is None or bytes(multipart.epilogue).strip(b" \t\r\n"):
        raise ValueError("MIME: a multipart that is not closed, or octets behind its end")
    parts = [Entity.read(span) for span in multipart.parts]
    if not parts:
        raise ValueError("MIME: a multipart without a part")
    start = _bare(said.get(b"start", b""))
    root = next((part for part in parts if start and _bare(part.field(b"content-id")) == start), parts[0])
    return [_read(root), *(_read(part) for part in parts if part is not root)]


def _read(part: Entity) -> Attachment:
    content_type = part.field(b"content-type").decode("latin-1")
    return Attachment(bytes(part.content()), content_type, file_name(part))


def _bare(content_id: bytes) -> bytes:
    return content_id.strip(b" \t").removeprefix(b"<").removesuffix(b">")
