"""Plays an answer at the pace, in the pieces and with the faults that were asked for."""

from collections.abc import Iterable, Iterator, Sequence

import orjson

from sandbox.provider.blocks import Json
from sandbox.provider.errors import ERROR_TYPES, envelope
from sandbox.provider.events import Frame, error_frame, frames_of
from sandbox.provider.exchange import Exchange
from sandbox.provider.reply import Reply
from sandbox.provider.scenario import Scenario

_BURST_BYTES = 8192
_FAULTS = ("error", "truncate", "eof", "hang")


async def play_stream(exchange: Exchange, reply: Reply, *, scenario: Scenario) -> None:
    error = scenario.stream_error()
    text = envelope(ERROR_TYPES[error.status], message=error.message, request_id=exchange.request_id)
    frames = list(frames_of(reply, scenario=scenario))
    await play_frames(exchange, frames, error=error_frame(text), scenario=scenario)


async def play_frames(exchange: Exchange, whole: list[Frame], *, error: Frame, scenario: Scenario) -> None:
    """Answer with these events; `error` is the one that breaks them off where that was asked for."""
    frames = _with_fault(whole, error=error, scenario=scenario)
    await exchange.pause(scenario.first_byte_ms / 1000)
    if not frames and scenario.has("hang"):
        await exchange.wait_until_gone()
    await exchange.start(200, content_type="text/event-stream; charset=utf-8", headers={"cache-control": "no-cache"})
    progress = _Progress(exchange, frames)
    for data, pause_s in _writes(frames, scenario=scenario):
        await exchange.pause(pause_s)
        await exchange.write(data)
        progress.wrote(len(data))
    await _end(exchange, scenario=scenario)


async def play_message(exchange: Exchange, reply: Reply, *, scenario: Scenario) -> None:
    await play_body(exchange, orjson.dumps(reply.message(started=False)), usage=reply.usage, scenario=scenario)


async def play_body(exchange: Exchange, body: bytes, *, usage: Json, scenario: Scenario) -> None:
    """Answer a call that is not streamed; the faults cut its body where a stream would break off."""
    if scenario.has("error"):
        raise scenario.stream_error()
    await exchange.pause(scenario.first_byte_ms / 1000)
    if scenario.has("hang"):
        await exchange.wait_until_gone()
    length = {} if scenario.has("eof") else {"content-length": str(len(body))}
    await exchange.start(200, content_type="application/json", headers=length)
    if scenario.has("truncate", "eof"):
        body = body[: len(body) // 2]
    elif exchange.call is not None:
        exchange.call.usage = usage
    for data in _cut(body, size=scenario.chunk or len(body)):
        await exchange.write(data)
    await _end(exchange, scenario=scenario)


async def _end(exchange: Exchange, *, scenario: Scenario) -> None:
    if scenario.has("hang"):
        await exchange.wait_until_gone()
    if scenario.has("truncate"):
        # Returning with the answer unfinished makes the server close the connection.
        exchange.ended("truncated")
        return
    await exchange.finish()


def _with_fault(frames: list[Frame], *, error: Frame, scenario: Scenario) -> list[Frame]:
    if not scenario.has(*_FAULTS):
        return frames
    sent = frames[: len(frames) // 2 if scenario.after is None else scenario.after]
    return [*sent, error] if scenario.has("error") else sent


def _writes(frames: Sequence[Frame], *, scenario: Scenario) -> Iterator[tuple[bytes, float]]:
    """What to write, each with the seconds to wait before it."""
    if scenario.chunk:
        whole = b"".join(frame.data for frame in frames)
        return ((data, scenario.pace_s) for data in _cut(whole, size=scenario.chunk))
    if scenario.pace_s == 0:
        return ((data, 0.0) for data in _bursts(frame.data for frame in frames))
    return ((frame.data, scenario.pace_s if frame.paced else 0.0) for frame in frames)


def _cut(data: bytes, *, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size or 1))


def _bursts(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join events as a network does when they come faster than they are read."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _BURST_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


class _Progress:
    """Keeps the call's usage at what the events sent so far have said."""

    def __init__(self, exchange: Exchange, frames: Sequence[Frame]) -> None:
        self._call = exchange.call
        self._marks = list(_marks(frames))
        self._sent_bytes = 0

    def wrote(self, size: int) -> None:
        self._sent_bytes += size
        while self._call is not None and self._marks and self._marks[0][0] <= self._sent_bytes:
            self._call.usage = {**self._call.usage, **(self._marks.pop(0)[1].usage or {})}


def _marks(frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
    end = 0
    for frame in frames:
        end += len(frame.data)
        if frame.usage is not None:
            yield end, frame
