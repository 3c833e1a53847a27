"""Allowances: how often something may happen in a while before it is too much."""

from __future__ import annotations

from django.core.cache import cache


class Allowance:
    """Counts per who and per process, in memory: a brake on floods, not a meter.

    Args:
        most: uses allowed in a window, or bytes, or whatever is counted.
        per_s: length of the window, which begins with the first use.
    """

    def __init__(self, name: str, *, most: int, per_s: int) -> None:
        self._name, self._most, self.per_s = name, most, per_s

    def used_up(self, who: str = "") -> bool:
        return int(cache.get(self._key(who), 0)) >= self._most

    def use(self, who: str = "", count: int = 1) -> None:
        key = self._key(who)
        if cache.add(key, count, self.per_s):
            return
        try:
            cache.incr(key, count)
        except ValueError:  # the window ended between the two
            cache.set(key, count, self.per_s)

    def _key(self, who: str) -> str:
        return f"allowance:{self._name}:{who}"
