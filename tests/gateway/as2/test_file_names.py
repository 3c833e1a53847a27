"""What a sender calls a document: read in the ways products write it, and never a path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transports.as2.file_names import content_disposition, file_name
from gateway.transports.as2.mime import Entity, Span
from tests.cost import cpu_at_most


def told(*lines: bytes) -> str | None:
    return file_name(Entity.read(Span.over(b"".join(line + b"\r\n" for line in (*lines, b"")))))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (b"filename=855.edi", "855.edi"),
        (b'FileName="855 (1).edi"', "855 (1).edi"),
        (b"filename=order 1.edi; size=4", "order 1.edi"),
        (b'filename="a\\"b;c.edi"', 'a"b;c.edi'),
        (b"filename=", None),
        # octets nobody declared
        ("filename=Größe.edi".encode(), "Größe.edi"),
        ("filename=Größe.edi".encode("latin-1"), "Größe.edi"),
        # RFC 2231
        (b"filename*=UTF-8''Best%C3%A4tigung%201.edi", "Bestätigung 1.edi"),
        (b"filename*=iso-8859-1'de'Gr%F6%DFe.edi", "Größe.edi"),
        (b"filename=plain.edi; filename*=utf-8''rich.edi", "rich.edi"),
        (b"filename*=rich.edi", "rich.edi"),
        (b"filename*=no-such-charset''Gr%C3%B6.edi", "Grö.edi"),
        (b"filename*=unicode_escape''a%5Cz.edi", "z.edi"),
        (b"filename*=iso-8859-12''a.edi", "a.edi"),
        (b'filename*0="long na"; filename*1="me.edi"', "long name.edi"),
        (b"filename*1=me.edi; filename*0=na", "name.edi"),
        (b"filename*0*=utf-8''Gr%C3%B6; filename*1*=%C3%9Fe; filename*2=.edi", "Größe.edi"),
        (b"filename*0=a; filename*2=c", "a"),
        # RFC 2047, where it does not belong
        (b'filename="=?UTF-8?B?R3LDtsOfZS5lZGk=?="', "Größe.edi"),
        (b"filename==?iso-8859-1?Q?Gr=F6=DFe_1.edi?=", "Größe 1.edi"),
        (b'filename="=?utf-8?Q?a?= =?utf-8?Q?b.edi?="', "ab.edi"),
        (b'filename="=?utf-8?B?QQQQQ?="', "=?utf-8?B?QQQQQ?="),
        (b'filename="=?no-such?Q?a.edi?="', "a.edi"),
        # folders and control characters
        (b'filename="../../etc/passwd"', "passwd"),
        (b'filename="C:\\orders\\850.edi"', "850.edi"),
        (b"filename*=utf-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        (b"filename*=utf-8''a%0D%0Ab%00.edi", "ab.edi"),
        (b'filename="=?utf-8?Q?=2E=2E=2Fa=0D=0A.edi?="', "a.edi"),
        (b"filename*=utf-8''%E2%80%AEide.exe", "ide.exe"),
        (b'filename=".."', None),
        (b"filename=" + b"n" * 300, "n" * 255),
    ],
)
def test_a_name_is_read_in_every_form_and_is_only_a_label(parameters, name):
    assert told(b"Content-Disposition: attachment; " + parameters) == name


def test_the_content_type_names_the_file_when_the_disposition_does_not():
    assert told(b"Content-Type: application/edi-x12; name=855.edi") == "855.edi"
    assert told(b"Content-Type: a/b; name=x.edi", b"Content-Disposition: inline; filename=y.edi") == "y.edi"


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Disposition: attachment; filename=a; filename=b",),
        (b"Content-Disposition: attachment; filename=a", b"Content-Disposition: attachment; filename=b"),
        (b"Content-Type: a/b",),
    ],
)
def test_a_name_that_cannot_be_told_is_none(lines):
    assert told(*lines) is None


@given(st.text(min_size=1, max_size=80))
def test_every_name_survives_our_header_without_its_folders(name):
    header = content_disposition(name)
    assert re.fullmatch(r"[ -~]+", header)
    label = re.split(r"[/\\]", "".join(character for character in name if character.isprintable()))[-1].strip()
    assert told(b"Content-Disposition: " + header.encode()) == (label if label not in {"", ".", ".."} else None)


@given(st.binary(max_size=120))
def test_any_octets_are_a_name_or_none(octets):
    line = b"Content-Disposition: attachment; filename" + octets.replace(b"\r", b"").replace(b"\n", b"")
    name = told(line)
    assert name is None or (name.isprintable() and not re.search(r"[/\\]", name))


@pytest.mark.parametrize(
    "parameters",
    [
        b'filename="=?a?q?x?=' + b"=?a?q?" * 1300 + b'"',
        b"filename*=utf-8''" + b"%80" * 2700,
        b'filename="' + b'\\"' * 4000 + b'"',
        b"; ".join(b'p%d="' % number for number in range(1000)),
        b"; ".join(b"filename*%d=a" % number for number in range(500)),
        b"; " * 4000,
    ],
    ids=lambda value: value[:20].decode(),
)
def test_a_name_made_to_be_costly_costs_little(parameters):
    with cpu_at_most(5):
        for _part in range(50):
            told(b"Content-Disposition: attachment; " + parameters)
