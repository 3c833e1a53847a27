"""The digests of what a receipt is about: any of four may come back, one does, and each costs as much as encrypting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gateway.transports.as2.algorithms import RECEIPT_DIGESTS, digest_of


class Digests(Mapping[str, bytes]):
    """Digests by the names of ``RECEIPT_DIGESTS``, each made when somebody asks for it."""

    def __init__(self, made: Mapping[str, bytes], octets: Callable[[], bytes]) -> None:
        """
        Args:
            made: those that are known.
            octets: what the others are over; called when one of them is asked for.
        """
        self._made = dict(made)
        self._octets = octets

    def __getitem__(self, name: str) -> bytes:
        if name not in self._made:
            if name not in RECEIPT_DIGESTS:
                raise KeyError(name)
            self._made[name] = digest_of(name, [self._octets()])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in RECEIPT_DIGESTS or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(RECEIPT_DIGESTS)

    def __len__(self) -> int:
        return len(RECEIPT_DIGESTS)
