"""From a program's request for an authorization to a code that it can exchange, by way of the user's consent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.clients import Client
from auth.domain.grants import CODE_S, AuthorizationCode, hash_of, is_challenge, new_secret
from auth.errors import AuthorizationRefusedError, UnknownClientError
from auth.repository import grants, programs
from auth.service.oauth.clients import Programs
from auth.service.oauth.consents import record_consent
from kit.clock import Clock

CODE_PREFIX: Final = "fgc_"
STATE_MOST_CHARS: Final = 1024
PARAMETERS: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be shown to the user: the program is known, and so is where it is answered."""

    client: Client
    scope: str
    state: str
    redirect_uri: str
    code_challenge: str

    def answer(self, issuer: str, **parameters: str) -> str:
        """Where the browser goes with the answer; `iss` says whose it is (RFC 9207)."""
        return answer_address(self.redirect_uri, self.state, issuer, parameters)


def answer_address(redirect_uri: str, state: str, issuer: str, parameters: Mapping[str, str]) -> str:
    given = {**parameters, **({"state": state} if state else {}), "iss": issuer}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(given)}"


async def check_request(session: AsyncSession, programs_known: Programs, given: Mapping[str, str]) -> Asked:
    """Raises `UnknownClientError` when nobody may be answered, `AuthorizationRefusedError` for the program to read."""
    client = await programs_known.find(session, given.get("client_id", ""))
    redirect_uri, state = given.get("redirect_uri", ""), given.get("state", "")
    if client is None or not client.may_be_answered_at(redirect_uri):
        raise UnknownClientError(
            "This program is not known here, or wants its answer at an address that is not its own."
        )

    def refused(error: str, detail: str) -> AuthorizationRefusedError:
        return AuthorizationRefusedError(error, detail, redirect_uri=redirect_uri, state=state[:STATE_MOST_CHARS])

    if given.get("response_type") != "code":
        raise refused("unsupported_response_type", "response_type must be `code`.")
    if len(state) > STATE_MOST_CHARS:
        raise refused("invalid_request", f"state has at most {STATE_MOST_CHARS} characters.")
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != "S256" or not is_challenge(challenge):
        raise refused("invalid_request", "Send a code_challenge of the method S256 (RFC 7636).")
    scope = client.granted(given.get("scope", ""))
    if scope is None:
        raise refused("invalid_scope", f"This program may ask for: {' '.join(client.scopes)}.")
    return Asked(client, scope, state, redirect_uri, challenge)


async def remembered(session: AsyncSession, user_id: UUID, asked: Asked) -> bool:
    """Whether the user has allowed this program as much before."""
    known = await programs.find_consent(session, user_id, asked.client.id)
    return known is not None and set(asked.scope.split()) <= set(known.scope.split())


async def allow(session: AsyncSession, acting: Acting, asked: Asked, *, account_id: UUID, clock: Clock) -> str:
    """Remember the consent and make a code for the program."""
    await record_consent(session, acting, asked.client, asked.scope, account_id=account_id, clock=clock)
    code = new_secret(CODE_PREFIX)
    made = AuthorizationCode(
        code_hash=hash_of(code),
        client_id=asked.client.id,
        user_id=acting.user_id,
        account_id=account_id,
        scope=asked.scope,
        redirect_uri=asked.redirect_uri,
        code_challenge=asked.code_challenge,
        expires_at=clock.now() + timedelta(seconds=CODE_S),
        used_at=None,
        session_id=None,
    )
    await grants.insert_code(session, made)
    return code
