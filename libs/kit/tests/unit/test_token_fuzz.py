"""Whatever is made of a token, it is refused as a token of ours is not: no crash, no other error, no echo."""

import base64
import hmac
import json
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given
from hypothesis import strategies as st

from kit.clock import ManualClock
from kit.errors import UnauthenticatedError
from kit.testing import Signer
from kit.tokens import ExpiredTokenError, InvalidTokenError, TokenVerifier, could_be_token

ISSUER = "http://faregate.test"
CLOCK = ManualClock()
SIGNER = Signer(issuer=ISSUER, clock=CLOCK)
VERIFIER = TokenVerifier(SIGNER, issuer=ISSUER, clock=CLOCK)
GOOD = SIGNER.user_token(account_id=uuid4())
HEADER, CLAIMS, SIGNATURE = GOOD.split(".")
NESTED = b'{"a":' * 500
HUGE_NUMBER = b'{"alg":' + b"9" * 2500 + b"}"
OURS = {"alg": "EdDSA", "typ": "at+jwt", "kid": "test-key"}


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(header: object, claims: object) -> str:
    """With the real key, so that only what is changed can be wrong."""
    signing_input = f"{encoded(header)}.{encoded(claims)}"
    return f"{signing_input}.{encoded(SIGNER._private.sign(signing_input.encode()))}"


async def refused(token: str) -> UnauthenticatedError:
    with pytest.raises((InvalidTokenError, ExpiredTokenError)) as raised:
        await VERIFIER.caller(token)
    assert len(token) < 20 or token not in str(raised.value)
    error = raised.value
    assert isinstance(error, UnauthenticatedError)
    return error


def test_a_token_of_ours_has_the_form_of_one() -> None:
    assert could_be_token(GOOD)


HEADERS = {
    "none": {**OURS, "alg": "none"},
    "None": {**OURS, "alg": "None"},
    "no algorithm": {"typ": "at+jwt", "kid": "test-key"},
    "a list of algorithms": {**OURS, "alg": ["EdDSA"]},
    "another case": {**OURS, "alg": "eddsa"},
    "HMAC": {**OURS, "alg": "HS256"},
    "RSA": {**OURS, "alg": "RS256"},
    "plain JWT": {**OURS, "typ": "JWT"},
    "no type": {"alg": "EdDSA", "kid": "test-key"},
    "long type": {**OURS, "typ": "application/at+jwt"},
    "no key": {"alg": "EdDSA", "typ": "at+jwt"},
    "key is a number": {**OURS, "kid": 1},
    "key is null": {**OURS, "kid": None},
    "key is an object": {**OURS, "kid": {"test-key": 1}},
    "key is a path": {**OURS, "kid": "../../test-key"},
    "key is SQL": {**OURS, "kid": "' OR 1=1 --"},
    "another key": {**OURS, "kid": "test-key\x00"},
    "jku": {**OURS, "jku": "http://evil.test/jwks.json"},
    "jwk": {**OURS, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
    "x5u": {**OURS, "x5u": "http://evil.test"},
    "crit": {**OURS, "crit": ["b64"]},
    "b64": {**OURS, "b64": False, "crit": ["b64"]},
    "zip": {**OURS, "zip": "DEF"},
    "encrypted": {**OURS, "enc": "A256GCM"},
    "list": [OURS],
    "text": "EdDSA",
    "null": None,
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_header_that_is_not_exactly_ours_is_refused_even_with_our_signature(name: str) -> None:
    await refused(signed(HEADERS[name], jwt.decode(GOOD, options={"verify_signature": False})))
    await refused(f"{encoded(HEADERS[name])}.{CLAIMS}.{SIGNATURE}")


async def test_the_public_key_is_not_an_hmac_secret() -> None:
    claims = jwt.decode(GOOD, options={"verify_signature": False})
    public = SIGNER._private.public_key()
    raw = public.public_bytes_raw()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (raw, base64.urlsafe_b64encode(raw), pem.replace(b"-", b"_")):
        for algorithm in ("sha256", "sha384", "sha512"):
            signing_input = f"{encoded(OURS | {'alg': f'HS{algorithm[3:]}'})}.{encoded(claims)}"
            mac = hmac.digest(secret, signing_input.encode(), algorithm)
            await refused(f"{signing_input}.{encoded(mac)}")


async def test_other_algorithms_keys_are_refused() -> None:
    claims = jwt.decode(GOOD, options={"verify_signature": False})
    head = {"typ": "at+jwt", "kid": "test-key"}
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    await refused(jwt.encode(claims, rsa_key, algorithm="RS256", headers=head))
    await refused(jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=head))
    await refused(jwt.encode(claims, ed448.Ed448PrivateKey.generate(), algorithm="EdDSA", headers=head))


CLAIM_CHANGES: dict[str, dict[str, object]] = {
    "another issuer": {"iss": "http://evil.test"},
    "no issuer": {"iss": None},
    "issuers in a list": {"iss": [ISSUER]},
    "another audience": {"aud": "service:ledger"},
    "no audience": {"aud": None},
    "audience is a number": {"aud": 7},
    "no subject": {"sub": None},
    "subject is no id": {"sub": "service:gateway"},
    "no id": {"jti": None},
    "no account": {"account": None},
    "account is an object": {"account": {"id": 1}},
    "end is text": {"exp": "9999999999"},
    "end is endless": {"exp": float("inf")},
    "end is no number": {"exp": float("nan")},
    "end is huge": {"exp": 10**30},
    "from the future": {"iat": 9999999999},
    "sessions in a list": {"sid": ["a"]},
}


@pytest.mark.parametrize("name", CLAIM_CHANGES)
async def test_claims_that_are_not_as_auth_makes_them_are_refused(name: str) -> None:
    claims = jwt.decode(GOOD, options={"verify_signature": False})
    assert await VERIFIER.caller(signed(OURS, claims))

    await refused(signed(OURS, claims | CLAIM_CHANGES[name]))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        GOOD + ".",
        "." + GOOD,
        GOOD + "." + SIGNATURE,
        GOOD + "=",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace(".", "。"),
        GOOD[:-1],
        f"{HEADER}.{CLAIMS}.",
        f"{HEADER}..{SIGNATURE}",
        f".{CLAIMS}.{SIGNATURE}",
        f"{HEADER}.{CLAIMS}.{SIGNATURE}{SIGNATURE}",
        f"{encoded(b'[' * 3000)}.{CLAIMS}.{SIGNATURE}",
        f"{encoded(NESTED)}.{CLAIMS}.{SIGNATURE}",
        f"{HEADER}.{encoded(b'[' * 2500)}.{SIGNATURE}",
        f"{encoded(HUGE_NUMBER)}.{CLAIMS}.{SIGNATURE}",
        f"{HEADER}.{'A' * 1_000_000}.{SIGNATURE}",
        "e" * 4097,
        "\x00" * 300,
        "é" * 300,
    ],
)
async def test_broken_huge_and_nested_tokens_are_refused(token: str) -> None:
    await refused(token)


@given(st.data())
async def test_a_changed_character_anywhere_is_noticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 2))  # the last character holds bits that mean nothing
    char = data.draw(st.characters(codec="latin-1").filter(lambda one: one != GOOD[at]))

    await refused(GOOD[:at] + char + GOOD[at + 1 :])


@given(st.integers(0, len(GOOD) - 1), st.integers(0, len(GOOD)))
async def test_pieces_of_a_token_are_refused(start: int, end: int) -> None:
    if (start, end) != (0, len(GOOD)):
        await refused(GOOD[start:end])


@given(st.text(max_size=300))
async def test_any_text_is_refused_or_a_token(text: str) -> None:
    await refused(text)
