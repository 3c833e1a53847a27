"""X12: interchanges read into canonical records with findings and verdicts, records written, acknowledgments both ways.

for interchange in read(data):
    for group in interchange.groups:
        for transaction_set in group.sets:
            transaction_set.verdict, transaction_set.record, transaction_set.findings
answer = acknowledge(interchange, envelope)

for interchange, sets in in_two_passes(open_file):      # the same of a file of any length, in flat memory
    for _, group, transaction_set in sets: …
"""

from edi_maps.x12.acknowledgments import (
    acknowledge,
    functional_acknowledgment,
    interchange_acknowledgment,
    reply_envelope,
)
from edi_maps.x12.envelope import Group, Interchange, SetEnd, TransactionSet, scan
from edi_maps.x12.map_sheets import set_of
from edi_maps.x12.reader import read, stream
from edi_maps.x12.received_acknowledgments import (
    FunctionalAcknowledgment,
    InterchangeAcknowledgment,
    read_interchange_acknowledgment,
)
from edi_maps.x12.segments import Delimiters, Loop, Segment
from edi_maps.x12.structure import group_of
from edi_maps.x12.two_passes import FileChanged, in_two_passes
from edi_maps.x12.writer import Envelope, envelop, read_back, write

__all__ = [
    "Delimiters",
    "Envelope",
    "FileChanged",
    "FunctionalAcknowledgment",
    "Group",
    "Interchange",
    "InterchangeAcknowledgment",
    "Loop",
    "Segment",
    "SetEnd",
    "TransactionSet",
    "acknowledge",
    "envelop",
    "functional_acknowledgment",
    "group_of",
    "in_two_passes",
    "interchange_acknowledgment",
    "read",
    "read_back",
    "read_interchange_acknowledgment",
    "reply_envelope",
    "scan",
    "set_of",
    "stream",
    "write",
]
