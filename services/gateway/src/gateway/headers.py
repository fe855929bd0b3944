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


def to_provider(headers: Sequence[Header]) -> list[Header]:
    """A client's headers as the provider may see them: repeats and order kept, credential and origin gone."""
    return _passed(headers, dropped=_NOT_FOR_THE_PROVIDER, prefixes=_OURS)


def to_client(headers: Sequence[Header]) -> list[Header]:
    """The provider's headers for the client: its limits and organization are the operator's business."""
    return _passed(headers, dropped=_NOT_FOR_THE_CLIENT, prefixes=_OURS + _PROVIDERS_LIMITS)


def to_service(headers: Sequence[Header]) -> list[Header]:
    """A client's headers for one of our services: nobody outside says who a caller is."""
    return _passed(headers, dropped=_NOT_FOR_A_SERVICE, prefixes=_OURS)


def from_service(headers: Sequence[Header]) -> list[Header]:
    return _passed(headers, dropped=_FROM_A_SERVICE, prefixes=_OURS)


def first(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for given, value in headers if given.lower() == name), None)


def _passed(headers: Sequence[Header], *, dropped: frozenset[bytes], prefixes: tuple[bytes, ...]) -> list[Header]:
    passed: list[Header] = []
    named: frozenset[bytes] | None = None
    for pair in headers:
        low = pair[0].lower()
        if low == b"connection":
            named = (named or frozenset()) | {word.strip().lower() for word in pair[1].split(b",")}
        elif low not in dropped and not low.startswith(prefixes):
            passed.append(pair)
    if named is None or named <= dropped:
        return passed
    return [pair for pair in passed if pair[0].lower() not in named]
