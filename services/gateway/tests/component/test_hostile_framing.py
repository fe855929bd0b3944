"""Bytes over real sockets: what is framed in a hostile way reaches nobody, what is only odd passes."""

import re
from collections.abc import Iterator

import orjson
import pytest
from services.gateway.tests.fronts import RunningFront, body_of, running_front
from services.gateway.tests.hostile_requests import REFUSED, Hostile, corpus

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: faregate.test\r\n\r\n"
PATHS = {"model": b"/v1/messages", "app": b"/app"}
CORPUS = corpus()
# Split at every byte: those whose size is the point would take minutes.
SMALL = [hostile for hostile in CORPUS if len(hostile.to(PATHS["model"]) + SMUGGLED) <= 2000]


@pytest.fixture(scope="module")
def front() -> Iterator[RunningFront]:
    with running_front() as running:
        yield running


def refused(front: RunningFront, answer: bytes, hostile: Hostile) -> None:
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert len(re.findall(rb"HTTP/1\.1 [0-9]{3} ", answer)) == 1, "one answer, and none to what was smuggled"
    status = int(answer.split()[1])
    assert status in REFUSED
    if hostile.status is not None:
        assert status == hostile.status
    assert b"connection: close" in head
    assert front.seen == []


def test_the_corpus_is_large_enough():
    assert len(CORPUS) >= 148


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_a_hostile_framing_is_refused_and_nothing_behind_it_is_read(front: RunningFront, hostile: Hostile, path: bytes):
    front.seen.clear()
    answer = front.exchange(hostile.to(path) + SMUGGLED)

    refused(front, answer, hostile)
    told = orjson.loads(body_of(answer))
    assert told["error"]["message"] if "error" in told else told["detail"]


@pytest.mark.parametrize("hostile", SMALL, ids=lambda hostile: hostile.name)
def test_a_hostile_framing_that_comes_byte_by_byte_is_refused_as_well(front: RunningFront, hostile: Hostile):
    raw = hostile.to(b"/v1/messages") + SMUGGLED
    front.seen.clear()
    with front.connect() as wire:
        for at in range(len(raw)):
            wire.send(raw[at : at + 1])
        answer = wire.rest()

    refused(front, answer, hostile)
