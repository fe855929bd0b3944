"""What our own routes beside the provider's share: the caller, and errors in the provider's envelope."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from gateway.admission.types import Admitted
from gateway.errors import ModelApiError
from gateway.identity.credential import Credential
from gateway.identity.credentials import Credentials
from gateway.operations.admitting import OperationRefusedError
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.surfaces.refusals import domain_refusal, may_read_balance, refusal
from gateway.usage.refusals import RefusalCounts
from kit.clock import Clock
from kit.errors import DomainError
from kit.http import ResponseModel
from kit.identity import READING, check_may_write
from kit.tokens import Caller

_MOST_NAMED: Final = 5


class ErrorBody(ResponseModel):
    """What went wrong; `message` names the field or the limit."""

    type: str
    message: str


class ErrorAnswer(ResponseModel):
    """Anthropic's envelope, as on the model routes."""

    type: str
    error: ErrorBody
    request_id: str


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route."""
    return {status: {"model": ErrorAnswer, "description": _REASONS[status]} for status in statuses}


_REASONS: Final = {
    400: "A field is wrong; the message names it",
    401: "The credential is bad",
    402: "Too few credits",
    403: "This credential, role or account may not do that",
    404: "There is no such thing, or it has no price",
    409: "It was done otherwise, or the idempotency key was used with another body",
    429: "A limit or a budget is reached",
    503: "It cannot be decided or recorded now",
}


class OwnRoute(APIRoute):
    """Answers errors as the model routes do, which clients of this address read already."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                answered = await handler(request)
            except ModelApiError as error:
                return error_response(request, error)
            except RequestValidationError as error:
                return error_response(request, ModelApiError(400, _named(error)))
            except HTTPException:
                # FastAPI's word for a body that its parser gave up on, for example one nested too deeply.
                return error_response(request, ModelApiError(400, "The request body could not be read"))
            except DomainError as error:
                return error_response(request, domain_refusal(error))
            answered.headers.setdefault("faregate-request-id", _request_id(request))
            return answered

        return answer


def error_response(request: Request, error: ModelApiError) -> Response:
    request_id = _request_id(request)
    headers = {"faregate-request-id": request_id, **error.headers}
    return Response(error.body(request_id), error.status, headers, "application/json")


def _request_id(request: Request) -> str:
    found: str = request.scope.get("state", {}).get("request_id", "")
    return found


@dataclass(frozen=True, slots=True)
class OwnApi:
    """Who calls, and how a refusal of admission is told and counted."""

    credentials: Credentials
    refusals: RefusalCounts
    limits: LimitHeaders
    clock: Clock
    upgrade_url: str

    async def credential(self, request: Request, *, route: str, model: str | None = None) -> Credential:
        """Raises `UnauthenticatedError`, `ScopeError` or `UnavailableError`."""
        peer = request.client.host if request.client is not None else ""
        credential = await self.credentials.of(request.headers.raw, peer=peer)
        credential.check(route, *([] if model is None else [model]))
        if request.method not in READING:
            check_may_write(credential.caller)
        return credential

    async def server(self, request: Request, *, route: str, model: str | None = None) -> Credential:
        """The same for what only a customer's server may do: an API key, never a person's session."""
        credential = await self.credential(request, route=route, model=model)
        if credential.caller.api_key_id is None:
            raise ModelApiError(403, "This route is for servers: use an API key, not a session's token")
        return credential

    def money_headers(self, admitted: Admitted, caller: Caller) -> dict[str, str]:
        """As on every answer to a call: the estimate, the balance for those who may read it, the limits."""
        now_s = self.clock.now().timestamp()
        shows_balance = may_read_balance(caller)
        made = self.limits.of(admitted, kind="anthropic", now_s=now_s, shows_balance=shows_balance)
        headers = {name.decode(): value.decode() for name, value in made}
        return {"faregate-request-id": str(admitted.call_id), **headers}

    def refused_operation(self, refusing: OperationRefusedError, *, caller: Caller, name: str) -> ModelApiError:
        refused = refusing.refused
        self.refusals.note(caller.account_id, refused, model=name)
        error = refusal(
            refused,
            caller=caller,
            model=name,
            upgrade_url=self.upgrade_url,
            problem=refusing.problem,
            now_s=self.clock.now().timestamp(),
        )
        error.headers["faregate-estimated-cost"] = credits_text(refused.required.credit_nano)
        return error


def _named(error: RequestValidationError) -> str:
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return "The request body is not valid JSON"
    return "; ".join(f"{_place(one['loc'])}: {one['msg']}" for one in error.errors()[:_MOST_NAMED])


def _place(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location[1:]) or str(location[0])
