"""Which headers pass, and which end here."""

from collections.abc import Iterable
from typing import Final

Header = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"expect",
})  # fmt: skip
_NOT_FOR_THE_PROVIDER: Final = frozenset({
    b"authorization", b"x-api-key", b"host", b"content-length", b"cookie", b"accept-encoding", b"forwarded", b"via",
    b"x-real-ip",
})  # fmt: skip
_OURS: Final = (b"x-forwarded-", b"x-faregate-", b"faregate-", b"x-user", b"x-account")
_NOT_FOR_THE_CLIENT: Final = frozenset({
    b"content-length", b"set-cookie", b"server", b"date", b"anthropic-organization-id", b"anthropic-workspace-id",
    b"faregate-request-id", b"x-accel-buffering", b"strict-transport-security", b"alt-svc", b"via",
})  # fmt: skip
_NOT_FOR_A_SERVICE: Final = frozenset({b"host", b"content-length", b"forwarded", b"via", b"x-real-ip"})
_PROVIDERS_LIMITS: Final = b"anthropic-ratelimit-"


def to_provider(headers: Iterable[Header]) -> list[Header]:
    """A client's headers as the provider may see them: repeats and order kept, credential and origin gone."""
    dropped = _HOP_BY_HOP | _NOT_FOR_THE_PROVIDER
    return _passed(headers, dropped=dropped)


def to_client(headers: Iterable[Header]) -> list[Header]:
    """The provider's headers for the client: its limits and organization are the operator's business."""
    passed = _passed(headers, dropped=_HOP_BY_HOP | _NOT_FOR_THE_CLIENT)
    return [pair for pair in passed if not pair[0].lower().startswith(_PROVIDERS_LIMITS)]


def to_service(headers: Iterable[Header]) -> list[Header]:
    """A client's headers for one of our services: nobody outside says who a caller is."""
    return _passed(headers, dropped=_HOP_BY_HOP | _NOT_FOR_A_SERVICE)


def from_service(headers: Iterable[Header]) -> list[Header]:
    return _passed(headers, dropped=_HOP_BY_HOP | {b"content-length", b"server", b"date"})


def first(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for given, value in headers if given.lower() == name), None)


def _passed(headers: Iterable[Header], *, dropped: frozenset[bytes]) -> list[Header]:
    pairs = list(headers)
    named = {
        word.strip().lower() for name, value in pairs if name.lower() == b"connection" for word in value.split(b",")
    }
    return [
        (name, value)
        for name, value in pairs
        if (low := name.lower()) not in dropped and low not in named and not low.startswith(_OURS)
    ]
