"""The identity parts as a gateway wires them, for tests; auth and the topics are the test's own."""

from dataclasses import dataclass
from typing import Protocol

from gateway.adapters.auth import KeyResolver, Rechecker
from gateway.identity.api_keys import ApiKeys
from gateway.identity.credentials import Credentials
from gateway.identity.flood import SharedLimit, UnknownCredentials
from gateway.identity.vouching import PATIENCE_S, Topics, Vouching
from kit.clock import Clock
from kit.identity import Revocations
from kit.tokens import KeySource, TokenVerifier

ISSUER = "http://faregate.test"


class Auth(KeyResolver, Rechecker, Protocol):
    """Both of auth's internal routes."""


class AlwaysCurrent:
    """Topics that are always read to their end."""

    current_at = float("inf")


@dataclass
class IdentityParts:
    revocations: Revocations
    api_keys: ApiKeys
    vouching: Vouching
    credentials: Credentials


def identity_parts(
    auth: Auth,
    keys: KeySource,
    *,
    clock: Clock,
    topics: Topics | None = None,
    patience_s: float = PATIENCE_S,
    shared: SharedLimit | None = None,
    most: int = 50_000,
) -> IdentityParts:
    verifier, revocations = TokenVerifier(keys, issuer=ISSUER, clock=clock, cached=0), Revocations()
    unknown = UnknownCredentials(clock=clock, shared=shared)
    api_keys = ApiKeys(auth, verifier, clock=clock, unknown=unknown)
    vouching = Vouching(topics or AlwaysCurrent(), auth, revocations, clock=clock, patience_s=patience_s)
    credentials = Credentials(
        verifier, revocations, api_keys, clock=clock, vouching=vouching, unknown=unknown, most=most
    )
    return IdentityParts(revocations, api_keys, vouching, credentials)
