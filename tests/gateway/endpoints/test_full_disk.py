"""The doors when bytes cannot be kept, or read back: come again, and nothing of the message is there."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse

from gateway.models import Blob, Delivery, ExceptionCase, Transmission
from partners.models import TradingPartner
from tests.gateway.endpoints.conftest import Api, Message
from tests.gateway.stored import file_of
from tests.small_disk import fill, filler, small_disk

pytestmark = pytest.mark.django_db(transaction=True)

LINE = {"line_number": "1", "quantity": "10", "unit": "EA"}
RESPONSE = {"status": "accepted", "quantity": "10", "unit": "EA", "on": "2027-01-15"}
GOOD = {
    "type": "order_acknowledgment",
    "order_number": "4500018231",
    "disposition": "accepted",
    "lines": [LINE | {"responses": [RESPONSE]}],
}
#: Kept with its answer, as whatever is refused.
BAD = {"what": "is this"}


@pytest.fixture
def no_room(settings: Any, tmp_path: Path) -> Path:
    """Where the folder of the store cannot be made, until what is in its place goes."""
    (tmp_path / "blobs").touch()
    settings.BLOBS = f"file:{tmp_path}/blobs"
    return tmp_path / "blobs"


def kept() -> list[int]:
    return [model.objects.count() for model in (Transmission, Blob, Delivery, ExceptionCase)]


NOTHING = [0, 0, 0, 0]


def test_as2_answers_503_in_a_line_of_text_and_takes_the_message_when_there_is_room(
    acme: TradingPartner,
    message: Callable[..., Message],
    post_as2: Callable[[Message], HttpResponse],
    no_room: Path,
) -> None:
    made = message()
    answer = post_as2(made)
    assert (answer.status_code, answer["Content-Type"], answer["Retry-After"]) == (
        503,
        "text/plain; charset=us-ascii",
        "60",
    )
    assert answer.content == b"We cannot store messages at the moment. Send it again.\n"
    assert kept() == NOTHING
    no_room.unlink()
    answer = post_as2(made)
    assert answer.status_code == 200
    assert b"processed\r\n" in answer.content


@pytest.mark.parametrize(
    ("channel", "sheet", "path", "document", "taken"),
    [
        ("rest", "", "/v1/acknowledgments", GOOD, 202),
        ("rest", "", "/v1/acknowledgments", BAD, 422),
        ("portal_json", "boltco", "/portal-json/v1/documents/acknowledgments", BAD, 422),
    ],
)
def test_json_is_answered_503_as_a_problem_and_judged_when_there_is_room(
    make_api: Callable[..., Api], no_room: Path, channel: str, sheet: str, path: str, document: object, taken: int
) -> None:
    api = make_api("CASTRA", channel=channel, sheet=sheet)
    answer = api.post(path, document, key="a")
    assert (answer.status_code, answer["Content-Type"], answer["Retry-After"]) == (
        503,
        "application/problem+json",
        "30",
    )
    said = json.loads(answer.content)
    assert (said["type"], said["detail"]) == ("/problems/unavailable", "Nothing can be kept, or read.")
    assert str(no_room) not in answer.content.decode()
    assert kept() == NOTHING
    no_room.unlink()
    assert api.post(path, document, key="a").status_code == taken
    assert Transmission.objects.count() == 1


def test_a_repeat_whose_answer_is_lost_is_told_to_come_again_and_not_something_else(
    acme: TradingPartner, message: Callable[..., Message], post_as2: Callable[[Message], HttpResponse]
) -> None:
    made = message()
    first = post_as2(made)
    lost = file_of(str(Transmission.objects.get().answer_id))
    bytes_of_it = lost.read_bytes()
    lost.unlink()
    assert post_as2(made).status_code == 503
    lost.write_bytes(bytes_of_it)
    again = post_as2(made)
    assert (again.status_code, again.content) == (200, first.content)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where bodies on their way in are, beyond what is held in memory."""
    with small_disk(
        tmp_path / "disk", 2**21
    ) as folder:  # two of the bodies fit: one is forgotten a moment after its answer
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield folder


def test_a_body_there_is_no_room_for_on_its_way_in_is_answered_503(disk: Path, served: tuple[str, int]) -> None:
    def post() -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(*served, timeout=20)
        connection.request("POST", "/as2", body=bytes(800_000))
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    fill(disk, leave=300_000)
    answer = post()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    filler(disk).unlink()
    assert post().status == 400  # read to its end, and no AS2
