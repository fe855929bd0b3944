"""An answer as server-sent events, as bytes."""

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from sandbox.provider.blocks import Block, Json
from sandbox.provider.reply import Reply
from sandbox.provider.scenario import Scenario
from sandbox.provider.usage import cumulative

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_UNKNOWN = b'event: sandbox_novelty\ndata: {"type":"sandbox_novelty","note":"a kind of event that nobody knows"}\n\n'


class Frame(NamedTuple):
    """One event; `paced` events wait their turn, `usage` is what the event says was used."""

    data: bytes
    paced: bool = False
    usage: Json | None = None


def frames_of(reply: Reply, *, scenario: Scenario) -> Iterator[Frame]:
    start: Json = {"type": "message_start", "message": reply.message(started=True)}
    yield Frame(_event("message_start", start), usage=reply.usage_at_start)
    if not reply.blocks:
        yield Frame(PING)
    for index, block in enumerate(reply.blocks):
        yield from _block_frames(block, index=index, scenario=scenario)
    yield from _endings(reply, scenario=scenario)
    yield Frame(_event("message_stop", {"type": "message_stop"}))


def error_frame(envelope: bytes) -> Frame:
    return Frame(b"event: error\ndata: " + envelope + b"\n\n")


def _block_frames(block: Block, *, index: int, scenario: Scenario) -> Iterator[Frame]:
    opened = {"type": "content_block_start", "index": index, "content_block": block.opened}
    yield Frame(_event("content_block_start", opened))
    if index == 0:
        yield Frame(PING)
    if index == 0 and scenario.has("unknown"):
        yield Frame(_UNKNOWN)
    for number, delta in enumerate(block.deltas, start=1):
        event = {"type": "content_block_delta", "index": index, "delta": delta}
        if scenario.has("unknown"):
            event["sandbox_unknown"] = number
        yield Frame(_event("content_block_delta", event, padding=number % 7), paced=True)
        if scenario.ping_every and number % scenario.ping_every == 0:
            yield Frame(PING)
    yield Frame(_event("content_block_stop", {"type": "content_block_stop", "index": index}))


def _endings(reply: Reply, *, scenario: Scenario) -> Iterator[Frame]:
    total = reply.usage["output_tokens"]
    for number in range(1, scenario.message_deltas + 1):
        last = number == scenario.message_deltas
        delta: Json = {"stop_reason": reply.stop_reason if last else None, "stop_sequence": None}
        if last and reply.stop_details is not None:
            delta["stop_details"] = reply.stop_details
        usage = cumulative(reply.usage, output_tokens=total * number // scenario.message_deltas)
        event = {"type": "message_delta", "delta": delta, "usage": usage}
        yield Frame(_event("message_delta", event), usage=usage)


def _event(name: str, payload: Json, *, padding: int = 0) -> bytes:
    # The provider pads the JSON of its deltas with spaces, so that sizes do not give words away.
    text = orjson.dumps(payload)
    if padding:
        text = text[:-1] + b" " * padding + b"}"
    return b"event: %b\ndata: %b\n\n" % (name.encode(), text)
