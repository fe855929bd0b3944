"""The one credential that a request carries: as `Authorization: Bearer`, as `x-api-key`, or as both."""

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from gateway.headers import Header
from kit.tokens import InvalidTokenError

_MOST_BYTES: Final = 4096
_KEY_PREFIXES: Final = (b"fg_live_", b"fg_test_", b"fg_session_")


class NoCredentialError(InvalidTokenError):
    code = "missing_credential"


def presented_credential(headers: Iterable[Header]) -> bytes:
    """Raises `UnauthenticatedError` when there is none, or more than one. Names of headers are lower-case."""
    found = b""
    for name, value in headers:
        if name == b"authorization":
            given = value[7:].strip() if value[:7].lower() == b"bearer " else b""
        elif name == b"x-api-key":
            given = value.strip()
        else:
            continue
        if given and found and not compare_digest(given, found):
            raise InvalidTokenError("The request carries different credentials; send one.")
        found = given or found
    if not found:
        raise NoCredentialError("Send an API key or an access token: `x-api-key` or `Authorization: Bearer`.")
    if len(found) > _MOST_BYTES:
        raise InvalidTokenError("The credential is too long.")
    return found


def digest_of(headers: Iterable[Header]) -> bytes:
    """By what a credential is known here, so that nothing compares secrets byte by byte."""
    return sha256(presented_credential(headers)).digest()


def is_api_key(presented: bytes) -> bool:
    """Whether it claims to be an API key of ours: the prefix tells it from a token."""
    return presented.startswith(_KEY_PREFIXES)
