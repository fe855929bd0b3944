"""An access token of auth's as every other service checks it, beside the bare signature, interleaved, by CPU time."""

import json
import time
from base64 import urlsafe_b64decode
from typing import Final

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.clock import SystemClock
from kit.tokens import JwksClient, TokenVerifier
from sandbox.bench.auth_crowd import People
from sandbox.bench.figures import Figure

TOKENS: Final = 10
CHECKED: Final = 300
ROUNDS: Final = 25
RATIO: Final = 1.3
CACHED_US: Final = 3.0


async def check_figures(people: People) -> list[Figure]:
    person = await people.join()
    tokens = [str((await person.login())["access_token"]) for _ in range(TOKENS)]
    clock, issuer = SystemClock(), json.loads(_part(tokens[0], 1))["iss"]
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await _figures(JwksClient(f"{people.auth.url}/auth/jwks.json", http=http, clock=clock), tokens, issuer)


async def _figures(keys: JwksClient, tokens: list[str], issuer: str) -> list[Figure]:
    clock = SystemClock()
    key = await keys.key(json.loads(_part(tokens[0], 0))["kid"])
    assert key is not None
    assert isinstance(key.key, Ed25519PublicKey)
    plain = TokenVerifier(keys, issuer=issuer, clock=clock, cached=0)
    caching = TokenVerifier(keys, issuer=issuer, clock=clock)
    bare_us, plain_us, cached_us = await _best_us(key.key, plain, caching, tokens * (CHECKED // TOKENS))
    ratio, cached = plain_us / bare_us, cached_us / CACHED_US
    name, against = "auth: a token checked elsewhere", f"the signature alone {bare_us:.1f} us"
    again = "auth: a token that was checked before"
    return [
        Figure(name, plain_us, "us", against, ratio, f"<= {RATIO}", ratio <= RATIO),
        Figure(again, cached_us, "us", f"{CACHED_US:.0f} us", cached, f"<= {CACHED_US:.0f} us", cached <= 1),
    ]


async def _best_us(
    public: Ed25519PublicKey, plain: TokenVerifier, caching: TokenVerifier, asked: list[str]
) -> tuple[float, float, float]:
    """Of each way the best round: what disturbs only ever adds."""
    parts = [_parts(token) for token in asked]
    await _checked_s(plain, asked)
    await _checked_s(caching, asked)
    bare_s, plain_s, cached_s = [], [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        for signature, signed in parts:
            public.verify(signature, signed)
        bare_s.append(time.process_time() - began)
        plain_s.append(await _checked_s(plain, asked))
        cached_s.append(await _checked_s(caching, asked))
    bare_us, plain_us, cached_us = (1e6 * min(one) / len(asked) for one in (bare_s, plain_s, cached_s))
    return bare_us, plain_us, cached_us


async def _checked_s(verifier: TokenVerifier, tokens: list[str]) -> float:
    began = time.process_time()
    for token in tokens:
        await verifier.caller(token)
    return time.process_time() - began


def _part(token: str, number: int) -> bytes:
    encoded = token.split(".")[number]
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _parts(token: str) -> tuple[bytes, bytes]:
    """The signature, and what is signed."""
    return _part(token, 2), token.rpartition(".")[0].encode()
