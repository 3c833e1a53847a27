"""The reference ERP as a real child process, and the buyer who works in it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from edi_maps import canonical
from edi_maps.canonical import CanonicalRecord
from gateway.erp import ErpEndpoint
from tests import prepared
from tests.acceptance.world import until
from tests.gateway.erp.contract import Placed


class ReferenceProcess:
    """One reference ERP; orders it releases have numbers of their own, so tests can share it."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "erp.sqlite3"
        self.complaints = folder / "stderr.txt"
        self._output = folder / "stdout.txt"
        self.port = 0
        self._numbers = count(1)
        self._process: prepared.Program | None = None
        self._admin = httpx.Client(trust_env=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return self.database.with_name("erp.sqlite3.token").read_text()

    def start(self, *arguments: str) -> None:
        self.complaints.touch()
        self._output.write_text("")
        where = ("--database", str(self.database), "--port", str(self.port))
        self._process = prepared.here().begin(
            "manage.py", "reference_erp", *where, *arguments, log=self._output, errors=self.complaints
        )
        line = until(self._first_line, "the reference ERP listening", otherwise=self.complaints.read_text)
        assert "listening" in line, self.complaints.read_text()
        self.port = int(line.rsplit(":", 1)[1])

    def _first_line(self) -> str:
        line, end, _ = self._output.read_text().partition("\n")
        return line if end else ""

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self._admin.close()

    def endpoint(self, **changed: Any) -> ErpEndpoint:
        settings = {"code": "reference", "base_url": self.base_url, "token": self.token, "page_size": 5}
        return ErpEndpoint(**{**settings, **changed})

    # -- the buyer

    def release(self, quantity: str = "100") -> Placed:
        number = f"45-{next(self._numbers):06d}"
        body = {"company": "PLANT1", "supplier_number": "S-100", "record": order_record(number, quantity)}
        order = self.admin("POST", "release", body)
        return Placed(order_key=order["order_key"], company="PLANT1", supplier_number="S-100", number=number)

    def change(self, order: Placed, quantity: str) -> None:
        self.admin("POST", f"orders/{order.order_key}/change", {"record": order_record(order.number, quantity)})

    def cancel(self, order: Placed) -> None:
        self.admin("POST", f"orders/{order.order_key}/cancel")

    def close_order(self, order: Placed) -> None:
        self.admin("POST", f"orders/{order.order_key}/close")

    def issue(self, record: CanonicalRecord, supplier_number: str = "S-100") -> Placed:
        """Release a document that is no order."""
        body = {"company": "PLANT1", "supplier_number": supplier_number, "record": canonical.dump(record)}
        key = self.admin("POST", "documents", body)["document_key"]
        return Placed(order_key=key, company="PLANT1", supplier_number=supplier_number, number=record.business_number)

    def post_pending(self) -> None:
        self.admin("POST", "post")

    def misbehave(self, kind: str, **terms: Any) -> None:
        self.admin("POST", "faults", {"kind": kind, **terms})

    def behave(self) -> None:
        self.admin("DELETE", "faults")

    def applications(self, key: str) -> int:
        return sum(effect["applications"] for effect in self.admin("GET", "effects") if effect["key"] == key)

    def requests(self, key: str) -> list[tuple[str, str]]:
        """(outcome, fault) of every write request with this key, from the journal."""
        found, after = [], 0
        while page := self.admin("GET", f"journal?after={after}"):
            found += [(entry["outcome"], entry["fault"]) for entry in page if entry["key"] == key]
            after = page[-1]["id"]
        return found

    def kept(self, collection: str, key: str) -> Any:
        """The record of a document as the ERP has it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self._admin.get(f"{self.base_url}/v1/{collection}/{quote(key, safe='')}", headers=headers)
        answer.raise_for_status()
        return answer.json()["record"]

    def admin(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self._admin.request(method, f"{self.base_url}/admin/{path}", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()


def order_record(number: str, quantity: str = "100") -> dict[str, object]:
    line = {"unit": "EA", "unit_price": "9.95", "product_ids": [{"kind": "buyer_part", "value": "VALVE-7"}]}
    return {
        "type": "purchase_order",
        "number": number,
        "currency": "EUR",
        "lines": [
            {"line_number": "10", "quantity": quantity, **line},
            {"line_number": "20", "quantity": "5.5", **line},
        ],
    }
