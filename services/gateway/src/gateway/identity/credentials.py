"""From a request's headers to a caller: an access token or an API key, as `Authorization`, `x-api-key` or both."""

from collections.abc import Iterable
from typing import Final

from gateway.headers import Header, first
from gateway.identity.api_keys import ApiKeys, Credential
from kit.identity import Revocations
from kit.tokens import InvalidTokenError, TokenVerifier

_KEY_PREFIXES: Final = ("fg_live_", "fg_test_")


class NoCredentialError(InvalidTokenError):
    code = "missing_credential"


class Credentials:
    """Verifies whatever credential a request carries; revocations count at once."""

    def __init__(self, verifier: TokenVerifier, revocations: Revocations, api_keys: ApiKeys) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._api_keys = api_keys

    async def of(self, headers: Iterable[Header]) -> Credential:
        """Raises `UnauthenticatedError` for a credential that is proven bad, `UnavailableError` when it is unclear."""
        presented = presented_credential(headers)
        if is_api_key(presented):
            credential = await self._api_keys.credential(presented)
        else:
            credential = Credential(await self._verifier.caller(presented), presented)
        return Credential(self._revocations.check(credential.caller), credential.access_token)


def is_api_key(presented: str) -> bool:
    """Whether it claims to be an API key of ours: the prefix tells it from a token."""
    return presented.startswith(_KEY_PREFIXES)


def presented_credential(headers: Iterable[Header]) -> str:
    """The one credential that a request carries."""
    pairs = list(headers)
    authorization, key = first(pairs, b"authorization"), first(pairs, b"x-api-key")
    found = {text for text in (_bearer(authorization), _text(key)) if text}
    if not found:
        raise NoCredentialError("Send an API key or an access token: `x-api-key` or `Authorization: Bearer`.")
    if len(found) > 1:
        raise InvalidTokenError("`Authorization` and `x-api-key` carry different credentials; send one.")
    return found.pop()


def _bearer(value: bytes | None) -> str:
    scheme, _, credential = _text(value).partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _text(value: bytes | None) -> str:
    return value.decode("latin-1").strip() if value else ""
