"""Which headers pass, and which end here."""

from collections.abc import Iterable, Sequence
from typing import Final

Header = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"expect",
})  # fmt: skip
_NOT_FOR_THE_PROVIDER: Final = _HOP_BY_HOP | {
    b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"openai-organization", b"openai-project", b"host",
    b"content-length", b"cookie", b"accept-encoding", b"forwarded", b"via", b"x-real-ip",
}  # fmt: skip
_OURS: Final = (b"x-forwarded-", b"x-faregate-", b"faregate-", b"x-user", b"x-account")
_NOT_FOR_THE_CLIENT: Final = _HOP_BY_HOP | {
    b"content-length", b"set-cookie", b"server", b"date", b"anthropic-organization-id", b"anthropic-workspace-id",
    b"openai-organization", b"openai-project", b"x-accel-buffering", b"strict-transport-security", b"alt-svc", b"via",
}  # fmt: skip
_NOT_FOR_A_SERVICE: Final = _HOP_BY_HOP | {b"host", b"content-length", b"forwarded", b"via", b"x-real-ip"}
_FROM_A_SERVICE: Final = _HOP_BY_HOP | {b"content-length", b"server", b"date"}
_PROVIDERS_LIMITS: Final = (b"anthropic-ratelimit-", b"anthropic-priority-", b"anthropic-fast-", b"x-ratelimit-")
_LONGEST_REMEMBERED: Final = 64
_MOST_REMEMBERED: Final = 1024
_CONNECTION_BYTES: Final = len(b"connection")


def to_provider(headers: Sequence[Header]) -> list[Header]:
    """A client's headers as the provider may see them: repeats and order kept, credential and origin gone."""
    return _passed(headers, _TO_PROVIDER)


def to_client(headers: Sequence[Header]) -> list[Header]:
    """The provider's headers for the client: its limits and organization are the operator's business."""
    return _passed(headers, _TO_CLIENT)


def lines_to_client(headers: Sequence[Header]) -> bytes:
    """The same as it stands in the answer's head; what has a line break in it is left out."""
    passed = _passed(headers, _TO_CLIENT)
    lines = b"".join([b"%b: %b\r\n" % header for header in passed])
    if lines.count(b"\n") == lines.count(b"\r") == len(passed):
        return lines
    return b"".join([b"%b: %b\r\n" % (name, value) for name, value in passed if not set(name + value) & {10, 13}])


def to_service(headers: Sequence[Header]) -> list[Header]:
    """A client's headers for one of our services: nobody outside says who a caller is."""
    return _passed(headers, _TO_SERVICE)


def from_service(headers: Sequence[Header]) -> list[Header]:
    return _passed(headers, _OF_SERVICE)


def first(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for given, value in headers if given.lower() == name), None)


class _Verdicts(dict[bytes, bool]):
    """Which names pass, remembered: every call brings the same dozen."""

    def __init__(self, dropped: frozenset[bytes], prefixes: tuple[bytes, ...]) -> None:
        super().__init__()
        self.dropped = dropped
        self._prefixes = prefixes

    def __missing__(self, name: bytes) -> bool:
        low = name.lower()
        passes = low not in self.dropped and not low.startswith(self._prefixes)
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[name] = passes
        return passes


_TO_PROVIDER: Final = _Verdicts(_NOT_FOR_THE_PROVIDER, _OURS)
_TO_CLIENT: Final = _Verdicts(_NOT_FOR_THE_CLIENT, _OURS + _PROVIDERS_LIMITS)
_TO_SERVICE: Final = _Verdicts(_NOT_FOR_A_SERVICE, _OURS)
_OF_SERVICE: Final = _Verdicts(_FROM_A_SERVICE, _OURS)


def _passed(headers: Sequence[Header], verdicts: _Verdicts) -> list[Header]:
    passed: list[Header] = []
    named: set[bytes] = set()
    for pair in headers:
        name = pair[0]
        if verdicts[name]:
            passed.append(pair)
        elif len(name) == _CONNECTION_BYTES and name.lower() == b"connection":
            named.update(word.strip().lower() for word in pair[1].split(b","))
    if not named or named <= verdicts.dropped:
        return passed
    return [pair for pair in passed if pair[0].lower() not in named]
