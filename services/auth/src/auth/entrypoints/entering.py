"""Signing in and up with a password: shared by the JSON routes, the alias and the pages."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass

from fastapi import Request

from auth.adapters import addresses
from auth.adapters.passwords import Verdict
from auth.entrypoints.parts import Parts, device_of, network_of, until_next_step
from auth.entrypoints.sealed import seal, unseal
from auth.errors import LinkUsedError, SecondFactorRequiredError, WrongCodeAtSignInError
from auth.service import registering, signing_in
from auth.service.registering import NewUser
from auth.service.sessions import SignedIn
from auth.service.signing_in import Attempt, CodeRefused


@dataclass(frozen=True, slots=True)
class Login:
    """What somebody signs in with."""

    email: str
    password: str
    code: str | None = None


async def sign_up(parts: Parts, request: Request, email: str, password: str, *, proof: str | None = None) -> None:
    """The answer and its time are the same whether the address is known or not."""
    began = asyncio.get_running_loop().time()
    address, normal = addresses.parse(email, reserved_names=parts.reserved_names)
    parts.guard.check_address(normal)
    registering.check_password(password, address=normal)
    network = network_of(request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        await parts.limits.take_sign_up(session, network=network, now=parts.clock.now())
        await parts.guard.check_work(session, proof, now=parts.clock.now())
    await parts.guard.check_captcha(proof, network=network)
    async with parts.passwords.turn():
        new = NewUser(address=address, address_normal=normal, password_hash=await parts.passwords.hash(password))
        await _register(parts, new)
    await until_next_step(began)


async def _register(parts: Parts, new: NewUser) -> None:
    async with parts.database.transaction() as session:
        await registering.register(session, new, limits=parts.limits, activation=parts.activation, clock=parts.clock)


async def sign_in(parts: Parts, request: Request, login: Login) -> SignedIn:
    """Raises what is wrong: `WrongCredentialsError`, or that a code is needed or wrong."""
    outcome, _ = await _attempt(parts, request, login)
    return _opened(outcome)


async def sign_in_at_page(parts: Parts, request: Request, login: Login, *, browser_secret: str) -> SignedIn | str:
    """The same for a page, which asks for the code afterwards: sealed words for `continue_with_code` then."""
    outcome, attempt = await _attempt(parts, request, login)
    if isinstance(outcome, CodeRefused) and outcome.needed:
        words = {"address": attempt.address, "proof": _proof(attempt)}
        return seal(parts, words, purpose="password-sign-in", browser_secret=browser_secret)
    return _opened(outcome)


async def continue_with_code(
    parts: Parts, request: Request, pending: str, code: str, *, browser_secret: str
) -> SignedIn:
    """The second step, in the browser that did the first one; raises `LinkUsedError` when that was too long ago."""
    began = unseal(parts, pending, purpose="password-sign-in", browser_secret=browser_secret)
    attempt = await _begin(parts, request, began["address"])
    if _proof(attempt) != began["proof"]:
        raise LinkUsedError("Your password has changed meanwhile.")
    return _opened(await _finish(parts, request, attempt, verdict=Verdict(right=True), code=code))


async def _attempt(parts: Parts, request: Request, login: Login) -> tuple[SignedIn | CodeRefused, Attempt]:
    _, normal = addresses.parse(login.email, reserved_names=parts.reserved_names)
    async with parts.passwords.turn():
        attempt = await _begin(parts, request, normal)
        # Between two transactions, because argon2 must not hold a connection.
        verdict = await parts.passwords.verify(attempt.password_hash, login.password)
        return await _finish(parts, request, attempt, verdict=verdict, code=login.code), attempt


async def _begin(parts: Parts, request: Request, address_normal: str) -> Attempt:
    network = network_of(request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        return await signing_in.begin_sign_in(
            session, address_normal, network=network, limits=parts.limits, now=parts.clock.now()
        )


async def _finish(
    parts: Parts, request: Request, attempt: Attempt, *, verdict: Verdict, code: str | None
) -> SignedIn | CodeRefused:
    signer = await parts.ring.signer()
    async with parts.database.transaction() as session:
        return await signing_in.finish_sign_in(
            session,
            attempt,
            verdict,
            device=device_of(request),
            code=code,
            second_factors=parts.second_factors,
            signer=signer,
            clock=parts.clock,
        )


def _opened(outcome: SignedIn | CodeRefused) -> SignedIn:
    # Raised after the transaction: the count must be kept.
    if isinstance(outcome, CodeRefused):
        if outcome.needed:
            raise SecondFactorRequiredError("Send a code of your second factor as well.", field="code")
        raise WrongCodeAtSignInError("The code is wrong, or it was used before.", field="code")
    return outcome


def _proof(attempt: Attempt) -> str:
    """Which password was right: once it is another one, so must the first step be."""
    given = (attempt.password_hash or "").encode()
    return hmac.new(str(attempt.user_id).encode(), given, hashlib.sha256).hexdigest()
