"""Read a file in two passes: the envelopes first, then the sets, so that every verdict is final when it is given.

What an envelope lacks is known at its end, and a broken one takes all its sets along. Going through the envelopes alone costs a
small part of reading the sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from edi_maps.findings import Finding, Verdict, verdict_of
from edi_maps.x12.envelope import Interchange, SetEnd, events
from edi_maps.x12.reader import finish, stream


class FileChanged(ValueError):
    """The file is not what it was when its envelopes were read."""


def in_two_passes(
    open_file: Callable[[], BinaryIO], *, relaxed: frozenset[str] = frozenset()
) -> Iterator[tuple[Interchange, Iterator[SetEnd]]]:
    """Read the interchanges of a file, and the transaction sets of each one by one, in memory that does not grow with the file.

    Args:
        open_file: opens the file at its beginning, in binary mode, of any length. It is called twice, and both are closed.
        relaxed: as for ``read``.

    Yields:
        Every interchange when its envelope has been read: with all that is said of it and of its groups, but without sets. And
        its sets, to be gone through before the next interchange is asked for. A set takes its place in its group when it is
        given, with its final verdict, and has its record until the next one is asked for; then it keeps what an acknowledgment
        needs. Who needs none may clear the sets of the group as they come.

    Raises:
        FileChanged: the two passes did not see the same.
    """
    with open_file() as ahead, open_file() as behind:
        reading = stream(behind, relaxed=relaxed)
        for event in events(ahead):
            if isinstance(event, SetEnd):
                event.set.release()
                event.group.sets.clear()
            else:
                finish(event, relaxed)
                sets = _sets(event, reading, _rejected(event), [*event.findings])
                yield event, sets
                for _ in sets:  # whatever was not asked for
                    pass


def _rejected(interchange: Interchange) -> set[int]:
    """Where the groups start whose sets are rejected, whatever is in them."""
    broken = verdict_of(interchange.findings) is Verdict.REJECTED
    return {group.start for group in interchange.groups if broken or verdict_of(group.findings) is Verdict.REJECTED}


def _sets(
    interchange: Interchange, reading: Iterator[SetEnd | Interchange], rejected: set[int], findings: list[Finding]
) -> Iterator[SetEnd]:
    """The sets of an interchange, each with its verdict and in its group; ``findings`` are those of the first pass."""
    groups = {group.start: group for group in interchange.groups}
    for event in reading:
        if isinstance(event, Interchange):
            if (event.start, event.end, event.findings) != (interchange.start, interchange.end, findings):
                break
            return
        group = groups.get(event.group.start)
        if group is None:
            break
        if group.start in rejected:
            event.set.verdict = Verdict.REJECTED
        event.group.sets.clear()
        group.sets.append(event.set)
        yield SetEnd(interchange, group, event.set)
    raise FileChanged("it was changed while it was read")
