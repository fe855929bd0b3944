"""A token with `act` reads as somebody else and writes nothing, whatever the route: it is decided where callers are."""

from uuid import uuid4

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from kit.clock import SystemClock
from kit.errors import DomainError
from kit.http import _on_domain_error
from kit.identity import CallerDep, Identity, Revocations
from kit.testing import Signer
from kit.tokens import InvalidTokenError, TokenVerifier

ISSUER = "http://faregate.test"
SIGNER = Signer(issuer=ISSUER)


def app() -> FastAPI:
    router = APIRouter()

    async def route(request: Request, caller: CallerDep) -> dict[str, str]:
        return {"user": str(caller.user_id), "actor": str(caller.actor_id)}

    router.add_api_route("/thing", route, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    made = FastAPI()
    made.include_router(router)
    made.add_exception_handler(DomainError, _on_domain_error)
    verifier = TokenVerifier(SIGNER, issuer=ISSUER, clock=SystemClock())
    made.state.identity = Identity(verifier, Revocations(), service="test")
    return made


async def asked(method: str, token: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.request(method, "/thing", headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_whoever_only_looks_writes_nothing(method: str) -> None:
    look = SIGNER.user_token(account_id=uuid4(), act={"sub": str(uuid4())})

    refused = await asked(method, look)
    own = await asked(method, SIGNER.user_token(account_id=uuid4()))

    assert (refused.status_code, refused.json()["code"]) == (403, "impersonation_reads_only")
    assert own.status_code == 200


async def test_whoever_looks_reads_as_the_user() -> None:
    user, actor = uuid4(), uuid4()

    answer = await asked("GET", SIGNER.user_token(account_id=uuid4(), user_id=user, act={"sub": str(actor)}))

    assert answer.json() == {"user": str(user), "actor": str(actor)}
    assert (await asked("HEAD", SIGNER.user_token(account_id=uuid4(), act={"sub": str(actor)}))).status_code == 200


@pytest.mark.parametrize("act", [None, "somebody", {}, {"sub": 5}, {"sub": "x"}, []])
async def test_an_actor_that_cannot_be_read_is_no_actor_to_pass_over(act: object) -> None:
    verifier = TokenVerifier(SIGNER, issuer=ISSUER, clock=SystemClock())

    with pytest.raises(InvalidTokenError):
        await verifier.caller(SIGNER.user_token(account_id=uuid4(), act=act))
