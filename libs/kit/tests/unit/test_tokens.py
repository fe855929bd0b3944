"""Tokens are ours or refused, and the reason never repeats the token."""

import base64
import json
from uuid import uuid4

import jwt
import pytest

from kit.clock import ManualClock
from kit.testing import Signer
from kit.tokens import AUDIENCE, ExpiredTokenError, InvalidTokenError, TokenVerifier

ISSUER = "http://faregate.test"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def signer(clock: ManualClock) -> Signer:
    return Signer(issuer=ISSUER, clock=clock)


@pytest.fixture
def verifier(signer: Signer, clock: ManualClock) -> TokenVerifier:
    return TokenVerifier(signer, issuer=ISSUER, clock=clock)


async def test_a_token_of_ours_names_its_caller(signer: Signer, verifier: TokenVerifier) -> None:
    account_id = uuid4()

    caller = await verifier.caller(signer.user_token(account_id=account_id, role="admin"))

    assert (caller.account_id, caller.role, caller.operator) == (account_id, "admin", False)


async def test_a_token_expires_by_the_injected_clock_even_when_cached(
    signer: Signer, verifier: TokenVerifier, clock: ManualClock
) -> None:
    token = signer.user_token(account_id=uuid4())
    await verifier.caller(token)
    clock.advance(606)

    with pytest.raises(ExpiredTokenError):
        await verifier.caller(token)


async def test_a_token_for_another_audience_issuer_or_key_is_refused(
    clock: ManualClock, verifier: TokenVerifier
) -> None:
    stranger = Signer(issuer=ISSUER, clock=clock)
    elsewhere = Signer(issuer="http://elsewhere.test", clock=clock)
    for token in (
        stranger.user_token(account_id=uuid4()),
        elsewhere.user_token(account_id=uuid4()),
        stranger.service_token("ledger", "auth"),
    ):
        with pytest.raises(InvalidTokenError):
            await verifier.caller(token)


async def test_a_service_token_is_good_for_its_one_audience(signer: Signer, verifier: TokenVerifier) -> None:
    token = signer.service_token("gateway", "ledger")

    assert await verifier.service(token, audience="ledger") == "gateway"
    with pytest.raises(InvalidTokenError):
        await verifier.service(token, audience="auth")
    with pytest.raises(InvalidTokenError):
        await verifier.caller(token)


def _unsigned(header: dict, claims: dict) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return ".".join([*parts, ""])


async def test_algorithm_tricks_are_refused(signer: Signer, verifier: TokenVerifier) -> None:
    good = signer.user_token(account_id=uuid4())
    claims = jwt.decode(good, options={"verify_signature": False})
    public = "x" * 64
    tricks = [
        _unsigned({"alg": "none", "typ": "at+jwt", "kid": "test-key"}, claims),
        jwt.encode(claims, public, algorithm="HS256", headers={"typ": "at+jwt", "kid": "test-key"}),
        good[:-4] + "AAAA",
        good.rsplit(".", 1)[0] + ".",
        "a.b.c",
        "",
        "x" * 5000,
    ]
    for trick in tricks:
        with pytest.raises(InvalidTokenError) as refused:
            await verifier.caller(trick)
        assert not trick or trick not in str(refused.value)


async def test_a_token_without_the_claims_of_a_caller_is_refused(signer: Signer, verifier: TokenVerifier) -> None:
    token = signer.sign({"sub": str(uuid4())}, audience=AUDIENCE, lifetime_s=60)

    with pytest.raises(InvalidTokenError, match="lacks a claim"):
        await verifier.caller(token)
