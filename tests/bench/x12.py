"""X12: reading beside stock pyx12 with the same guides, and writing; the floor is to cut or join bytes and do nothing else."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pyx12.params import ParamsBase
from pyx12.x12n_document import x12n_document

from edi_maps import x12
from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Verdict
from tests.bench import peers, x12_documents
from tests.bench.measure import Bench, Result, Void, cpu_s, peak_mb

ITEMS: Final = 20_000
ORDERS: Final = 2_000
ITEMS_TO_WRITE: Final = 4_000
STREAMED_ORDERS: Final = 45_500
#: pyx12 gets a shorter document of the same kind, for it would take ten seconds; what is compared is segments/s.
PEER_ITEMS: Final = 1_500
PEER_ORDERS: Final = 400
_GUIDES: Final = str(Path(x12.__file__).parent / "guides")


def reading_a_large_ship_notice() -> Iterator[Result]:
    whole, part = x12_documents.ship_notice(ITEMS), x12_documents.ship_notice(PEER_ITEMS)
    yield _reading("x12.856.read", whole, part)


def reading_many_orders() -> Iterator[Result]:
    whole, part = x12_documents.orders(ORDERS), x12_documents.orders(PEER_ORDERS)
    yield _reading("x12.850.read", whole, part)


def _reading(bench: str, whole: bytes, part: bytes) -> Result:
    """Validate and make records of ``whole``; pyx12 validates ``part``."""
    _records(whole)
    ours, peer, floor = cpu_s(
        partial(x12.read, whole), partial(_pyx12_accepts, part), partial(whole.split, b"~\n"), rounds=2
    )
    segments, of_part = whole.count(b"~"), part.count(b"~")
    return Result(
        bench=bench,
        value=segments / ours,
        unit="segments/s",
        peer=f"pyx12 validate, no record, {of_part:,} of {segments:,} segments",
        peer_value=of_part / peer,
        peers=tuple(peers.segments_per_s(whole)),
        floor="bytes split",
        floor_value=segments / floor,
    )


def reading_one_order() -> Iterator[Result]:
    data = x12_documents.order(20)
    _records(data)
    ours, peer, floor = cpu_s(partial(x12.read, data), partial(_pyx12_accepts, data), partial(data.split, b"~\n"))
    yield Result(
        bench="x12.850.one",
        value=ours * 1e3,
        unit="ms",
        peer="pyx12 validate, no record",
        peer_value=peer * 1e3,
        floor="bytes split",
        floor_value=floor * 1e3,
    )


def memory_of_a_large_ship_notice() -> Iterator[Result]:
    """Peak of a process that reads the document and holds what came of it."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "856.edi")
        file.write_bytes(x12_documents.ship_notice(ITEMS))
        before, peak = peak_mb(read_file, file)
    yield Result(
        bench="x12.856.memory",
        value=peak,
        unit="MB",
        floor="the same process before it reads",
        floor_value=before,
    )


def read_file(file: Path) -> list[x12.Interchange]:
    return x12.read(file.read_bytes())


def memory_of_a_long_stream() -> Iterator[Result]:
    """Peak of a process that reads some 1,000,000 segments set by set; the floor reads a tenth of them."""
    with TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole.edi"), Path(folder, "part.edi")
        segments = x12_documents.write_orders(STREAMED_ORDERS, whole)
        x12_documents.write_orders(STREAMED_ORDERS // 10, part)
        _, less = peak_mb(stream_file, part)
        _, peak = peak_mb(stream_file, whole)
    yield Result(
        bench="x12.stream.rss",
        value=peak,
        unit="MB",
        floor=f"a tenth of the {segments:,} segments in {STREAMED_ORDERS:,} sets",
        floor_value=less,
    )


def stream_file(file: Path) -> int:
    """Read the sets of a file one by one; how many were accepted.

    Raises:
        Void: something is wrong with one of them.
    """
    accepted = 0
    with file.open("rb") as source:
        for event in x12.stream(source):
            if isinstance(event, x12.Interchange):
                verdicts = {one.verdict for group in event.groups for one in group.sets}
                if event.findings or verdicts != {Verdict.ACCEPTED}:
                    raise Void(f"not all sets are accepted: {event.findings[:3]}")
            elif event.set.record is not None:
                accepted += 1
    return accepted


def writing_a_large_ship_notice() -> Iterator[Result]:
    [record] = _records(x12_documents.ship_notice(ITEMS_TO_WRITE))
    envelope = x12.Envelope(
        sender_qualifier="ZZ",
        sender_id="ACMEFASTEN",
        receiver_qualifier="ZZ",
        receiver_id="MERIDIANMFG",
        interchange_number=1,
        group_number=1,
        at=datetime(2026, 11, 18, 6, 40, tzinfo=UTC),
    )
    data = x12.write(record, envelope)
    if _records(data) != [record]:
        raise Void("what was written does not read as the same record")
    elements = [segment.split("*") for segment in data.decode("latin-1").split("~")]
    ours, floor = cpu_s(partial(x12.write, record, envelope), lambda: "~".join(map("*".join, elements)).encode())
    yield Result(
        bench="x12.write",
        value=data.count(b"~") / ours,
        unit="segments/s",
        floor="elements joined",
        floor_value=data.count(b"~") / floor,
    )


def _records(data: bytes) -> list[CanonicalRecord]:
    """Every record of a document that nothing is wrong with.

    Raises:
        Void: something is, so that the way of errors would be measured.
    """
    sets = [
        transaction_set
        for interchange in x12.read(data)
        for group in interchange.groups
        for transaction_set in group.sets
    ]
    found = [one.record for one in sets if one.record is not None and one.verdict is Verdict.ACCEPTED]
    if not found or len(found) != len(sets):
        raise Void(f"{len(found)} of {len(sets)} sets are accepted: {[one.findings[:3] for one in sets[:3]]}")
    return found


def _pyx12_accepts(data: bytes) -> None:
    """Full validation by stock pyx12, which parses its maps anew in each call.

    Raises:
        Void: it refuses the document.
    """
    logging.getLogger("pyx12").setLevel(logging.CRITICAL)
    if not x12n_document(ParamsBase(), io.StringIO(data.decode("latin-1")), None, None, map_path=_GUIDES):
        raise Void("pyx12 refuses the document")


BENCHES: Final[dict[str, Bench]] = {
    "x12.856.read": reading_a_large_ship_notice,
    "x12.856.memory": memory_of_a_large_ship_notice,
    "x12.850.read": reading_many_orders,
    "x12.850.one": reading_one_order,
    "x12.stream.rss": memory_of_a_long_stream,
    "x12.write": writing_a_large_ship_notice,
}
