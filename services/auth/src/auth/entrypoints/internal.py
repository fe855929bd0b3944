"""Routes for the other services; the gateway never forwards them."""

import hashlib
import hmac
from dataclasses import asdict
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query

from auth.adapters.signing import TokenSigner
from auth.entrypoints.parts import Parts, PartsDep, refusals
from auth.errors import ServiceForbiddenError, ServiceSecretError
from auth.schemas.internal import (
    MailAnswer,
    MemberStandingAnswer,
    RecheckAnswer,
    RecheckRequest,
    RecipientAnswer,
    RecipientsAnswer,
    ResolvedAnswer,
    ResolveRequest,
    ServiceTokenAnswer,
    ServiceTokenRequest,
    UserStandingAnswer,
)
from auth.service import api_keys, filling, people, rechecking, session_keys
from auth.service.rechecking import InUse
from contracts.auth import Role
from kit import apikeys
from kit.identity import ServiceDep

router = APIRouter(prefix="/internal", tags=["internal"])

_NOBODY: Final = "0" * 64


@router.post("/service-tokens", summary="A token for another service's internal routes", responses=refusals(401))
async def issue_service_token(body: ServiceTokenRequest, parts: PartsDep) -> ServiceTokenAnswer:
    given = hashlib.sha256(body.secret.get_secret_value().encode()).hexdigest()
    if not hmac.compare_digest(given, parts.secret_hashes.get(body.service, _NOBODY)):
        raise ServiceSecretError("There is no such service, or its secret is another one.")
    signer = await parts.ring.signer()
    issued = signer.service_token(body.service, audience=body.audience, now=parts.clock.now())
    return ServiceTokenAnswer(access_token=issued.token, expires_in=issued.expires_in_s)


@router.post("/api-keys/resolve", summary="An access token for an API key", responses=refusals(401, 403, 404))
async def resolve_api_key(body: ResolveRequest, parts: PartsDep, service: ServiceDep) -> ResolvedAnswer:
    _only(service, "gateway")
    key, signer = body.key.get_secret_value(), await parts.ring.signer()
    if key.startswith(apikeys.SESSION_PREFIX):
        return await _resolve_session_key(parts, key, signer)
    async with parts.database.transaction() as session:
        resolved = await api_keys.resolve_key(session, key, signer=signer, now=parts.clock.now())
    return ResolvedAnswer(
        access_token=resolved.issued.token,
        expires_in=resolved.issued.expires_in_s,
        api_key_id=resolved.key.id,
        account_id=resolved.access.account_id,
        project_id=resolved.access.project_id,
        user_id=resolved.key.user_id,
        role=resolved.access.role,
        plan=resolved.access.plan,
        scopes=resolved.key.scopes,
        allowed_networks=resolved.key.allowed_networks,
    )


async def _resolve_session_key(parts: Parts, key: str, signer: TokenSigner) -> ResolvedAnswer:
    async with parts.database.transaction() as session:
        resolved = await session_keys.resolve_session_key(session, key, signer=signer, now=parts.clock.now())
    return ResolvedAnswer(
        access_token=resolved.issued.token,
        expires_in=resolved.issued.expires_in_s,
        api_key_id=None,
        account_id=resolved.access.account_id,
        project_id=None,
        user_id=resolved.access.user_id,
        role=resolved.access.role,
        plan=resolved.access.plan,
        scopes=resolved.access.scopes,
    )


@router.post("/credentials/recheck", summary="Which credentials are no longer good", responses=refusals(401, 403))
async def recheck_credentials(body: RecheckRequest, parts: PartsDep, service: ServiceDep) -> RecheckAnswer:
    _only(service, "gateway")
    in_use = InUse(
        api_keys=body.api_keys,
        sessions=body.sessions,
        users=body.users,
        members=[(one.account_id, one.user_id) for one in body.members],
    )
    async with parts.database.reading() as session:
        found = await rechecking.recheck(session, in_use, now=parts.clock.now())
    return RecheckAnswer(
        api_keys=found.api_keys,
        sessions=found.sessions,
        users=[
            UserStandingAnswer(user_id=one.id, version=one.version, state=one.state, operator=one.operator)
            for one in found.users
        ],
        members=[MemberStandingAnswer(**asdict(one)) for one in found.members],
    )


@router.get("/accounts/{account_id}/recipients", summary="Whom to write to", responses=refusals(401, 403))
async def list_recipients(
    account_id: UUID, parts: PartsDep, service: ServiceDep, role: Annotated[Role, Query()] = "owner"
) -> RecipientsAnswer:
    _only(service, "notifier")
    async with parts.database.reading() as session:
        users = await people.list_recipients(session, account_id, role=role)
    return RecipientsAnswer(
        recipients=[RecipientAnswer(user_id=user.id, address=user.address, locale=user.locale) for user in users]
    )


@router.get("/messages/{message_id}", summary="What to send; makes a new link", responses=refusals(401, 403, 404))
async def fill_message(message_id: UUID, parts: PartsDep, service: ServiceDep) -> MailAnswer:
    _only(service, "notifier")
    async with parts.database.transaction() as session:
        mail = await filling.fill_message(session, message_id, public_url=parts.public_url, now=parts.clock.now())
    return MailAnswer(**asdict(mail))


def _only(service: str, *allowed: str) -> None:
    if service not in allowed:
        raise ServiceForbiddenError(f"The service {service} may not ask for this.")
