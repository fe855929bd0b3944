"""What the stand-in answered, kept in memory so that tests can compare."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_CALLS = 5000
_MOST_KEPT_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Call:
    """One request and what became of it; never its body."""

    request_id: str
    path: str
    headers: list[str]
    anthropic_headers: dict[str, str]
    model: str | None = None
    scenario: str = ""
    stream: bool = False
    status: int | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    usage_if_finished: dict[str, Any] = field(default_factory=dict)
    body_sha256: str = ""
    body_bytes: int = 0
    sent_bytes: int = 0
    ended: str = "open"
    sent: list[bytes] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All that may be shown; the bytes that were sent have an address of their own."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "sent"}


class CallLog:
    """The newest calls, and the bodies of as many of them as a fixed share of memory holds."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._with_bytes: deque[Call] = deque()
        self._kept_bytes = 0

    def start(self, request_id: str, *, path: str, headers: Mapping[str, str]) -> Call:
        named = {name: value for name, value in headers.items() if name.startswith("anthropic-")}
        call = Call(request_id=request_id, path=path, headers=sorted(headers), anthropic_headers=named)
        self._calls[request_id] = call
        self._with_bytes.append(call)
        if len(self._calls) > _MOST_CALLS:
            self._forget_oldest()
        return call

    def keep(self, call: Call, data: bytes) -> None:
        call.sent_bytes += len(data)
        if call.request_id not in self._calls:
            return
        call.sent.append(data)
        self._kept_bytes += len(data)
        while self._kept_bytes > _MOST_KEPT_BYTES and self._with_bytes:
            self._drop_bytes(self._with_bytes.popleft())

    def newest(self, limit: int) -> list[Call]:
        return list(reversed(self._calls.values()))[:limit]

    def find_bytes(self, request_id: str) -> bytes | None:
        """The body that was sent, or nothing when it is unknown or memory has been given back."""
        call = self._calls.get(request_id)
        if call is None or sum(map(len, call.sent)) != call.sent_bytes:
            return None
        return b"".join(call.sent)

    def clear(self) -> None:
        self._calls.clear()
        self._with_bytes.clear()
        self._kept_bytes = 0

    def _forget_oldest(self) -> None:
        call = self._calls.pop(next(iter(self._calls)))
        self._drop_bytes(call)
        if self._with_bytes and self._with_bytes[0] is call:
            self._with_bytes.popleft()

    def _drop_bytes(self, call: Call) -> None:
        self._kept_bytes -= sum(map(len, call.sent))
        call.sent.clear()
