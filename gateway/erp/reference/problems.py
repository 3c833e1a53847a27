"""The answer no: a problem document (RFC 9457) with a stable code."""

from __future__ import annotations

from collections.abc import Sequence


class Problem(Exception):
    """Why a request is refused. ``lines`` are (line number, reason)."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        lines: Sequence[tuple[str, str]] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.lines = tuple(lines)
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, object]:
        """The members of the problem document."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.lines:
            problem["lines"] = [{"line_number": number, "reason": reason} for number, reason in self.lines]
        return problem
