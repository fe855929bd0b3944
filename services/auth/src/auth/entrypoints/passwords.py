"""Passwords that are forgotten, reset, changed."""

import asyncio

from fastapi import APIRouter, Request

from auth.adapters import addresses
from auth.domain.audit import Acting
from auth.entrypoints.parts import (
    ActingDep,
    Parts,
    PartsDep,
    forget_sessions,
    network_of,
    refusals,
    until_next_step,
)
from auth.entrypoints.proving import prove
from auth.schemas.common import StatusAnswer
from auth.schemas.passwords import ChangePasswordRequest, ForgotRequest, Proof, ResetRequest
from auth.service import passwords, people, registering

router = APIRouter(prefix="/auth/password", tags=["passwords"])


@router.post("/forgot", status_code=202, summary="Ask for a mail to reset the password", responses=refusals(429))
async def forgot(request: Request, body: ForgotRequest, parts: PartsDep) -> StatusAnswer:
    """The answer and its time are the same whether the address is known or not."""
    await ask_for_reset(parts, request, body.email)
    return StatusAnswer()


async def ask_for_reset(parts: Parts, request: Request, email: str) -> None:
    """Shared with the page."""
    began = asyncio.get_running_loop().time()
    _, normal = addresses.parse(email, reserved_names=parts.reserved_names)
    network = network_of(request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        await parts.limits.take_mail_request(session, network=network, now=parts.clock.now())
        await passwords.request_reset(session, normal, limits=parts.limits, clock=parts.clock)
    await until_next_step(began)


@router.post("/reset", summary="Set a new password with the link's token", responses=refusals(404, 503))
async def reset(request: Request, body: ResetRequest, parts: PartsDep) -> StatusAnswer:
    """Every session ends; sign in with the new password."""
    network = network_of(request, parts.trusted_proxies)
    await reset_with(parts, body.token.get_secret_value(), body.new_password.get_secret_value(), network=network)
    return StatusAnswer()


async def reset_with(parts: Parts, token: str, password: str, *, network: str) -> None:
    """Shared with the page: look at the link, hash, and then use the link up."""
    async with parts.database.reading() as session:
        link = await passwords.peek_reset(session, token, now=parts.clock.now())
    registering.check_password(password, address=link.address_normal, field="new_password")
    hashed = await _hashed(parts, password)
    async with parts.database.transaction() as session:
        ended = await passwords.reset_password(session, token, password_hash=hashed, network=network, clock=parts.clock)
    forget_sessions(parts, ended)


@router.post("/change", summary="Change the password; other sessions end", responses=refusals(401, 403, 429, 503))
async def change(body: ChangePasswordRequest, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    await change_to(parts, acting, body.new_password.get_secret_value(), proof=body)
    return StatusAnswer()


async def change_to(parts: Parts, acting: Acting, password: str, *, proof: Proof) -> None:
    """Shared with the page: refuse what is weak before anything is proved, prove, hash, and then set it."""
    async with parts.database.reading() as session:
        profile = await people.get_profile(session, acting.user_id)
    registering.check_password(password, address=profile.user.address_normal, field="new_password")
    await prove(parts, acting, proof)
    hashed = await _hashed(parts, password)
    async with parts.database.transaction() as session:
        ended = await passwords.change_password(session, acting, password_hash=hashed, clock=parts.clock)
    forget_sessions(parts, ended)


async def _hashed(parts: Parts, password: str) -> str:
    async with parts.passwords.turn():
        return await parts.passwords.hash(password)
