"""Customers' own operations: held before and confirmed after, or recorded in one go. For servers only."""

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response

from gateway.entrypoints.operation_schemas import ChargeAnswer, ConfirmRequest, HoldAnswer, HoldRequest, UsageRequest
from gateway.entrypoints.own_api import OwnApi, OwnRoute, errors
from gateway.operations.admitting import OperationRefusedError, project_of
from gateway.operations.desk import HOLDS, USAGE, Answer, OperationsDesk, WantedUse
from kit.http import IdempotencyKey
from kit.tokens import Caller

HoldId = Annotated[str, Path(description="as `POST /v1/holds` answered it")]


def build_router(desk: OperationsDesk, own: OwnApi) -> APIRouter:
    router = APIRouter(tags=["operations"], route_class=OwnRoute, responses=errors(400, 401, 403, 503))
    _add_holding(router, desk, own)
    _add_ending(router, desk, own)
    return router


def _add_holding(router: APIRouter, desk: OperationsDesk, own: OwnApi) -> None:
    @router.post(
        HOLDS,
        status_code=201,
        summary="Reserve what an operation can cost",
        operation_id="create_hold",
        response_model=HoldAnswer,
        responses=errors(402, 404, 409, 429),
    )
    async def hold(body: HoldRequest, key: IdempotencyKey, request: Request) -> Response:
        credential = await own.server(request, route=HOLDS, model=body.operation)
        use = _use(credential.caller, body, key=key)
        try:
            answer = await desk.hold(use, expires_in_s=body.expires_in_s)
        except OperationRefusedError as error:
            raise own.refused_operation(error, caller=use.caller, name=use.name) from None
        return _response(answer, use.caller, own, status=201)

    @router.post(
        USAGE,
        summary="Admit and charge an operation in one go",
        operation_id="record_usage",
        response_model=ChargeAnswer,
        responses=errors(402, 404, 409, 429),
    )
    async def usage(body: UsageRequest, key: IdempotencyKey, request: Request) -> Response:
        credential = await own.server(request, route=USAGE, model=body.operation)
        use = _use(credential.caller, body, key=key)
        try:
            answer = await desk.record(use)
        except OperationRefusedError as error:
            raise own.refused_operation(error, caller=use.caller, name=use.name) from None
        return _response(answer, use.caller, own, status=200)


def _add_ending(router: APIRouter, desk: OperationsDesk, own: OwnApi) -> None:
    @router.post(
        HOLDS + "/{hold_id}/confirm",
        summary="Charge what was done of a hold",
        description="Idempotent on any gateway: the same confirmation again gives the same answer; another one is 409.",
        operation_id="confirm_hold",
        response_model=ChargeAnswer,
        responses=errors(404, 409),
    )
    async def confirm(hold_id: HoldId, request: Request, body: ConfirmRequest | None = None) -> Response:
        credential = await own.server(request, route=HOLDS)
        quantity = None if body is None else body.quantity
        return _json(await desk.confirm(credential.caller, hold_id, quantity=quantity))

    @router.post(
        HOLDS + "/{hold_id}/release",
        summary="Let a hold go without a charge",
        description="Idempotent, like the confirmation.",
        operation_id="release_hold",
        response_model=ChargeAnswer,
        responses=errors(404, 409),
    )
    async def release(hold_id: HoldId, request: Request) -> Response:
        credential = await own.server(request, route=HOLDS)
        return _json(await desk.release(credential.caller, hold_id))

    @router.get(
        HOLDS + "/{hold_id}",
        summary="A hold, or how it ended",
        operation_id="get_hold",
        response_model=HoldAnswer | ChargeAnswer,
        responses=errors(404),
    )
    async def find(hold_id: HoldId, request: Request) -> Response:
        credential = await own.server(request, route=HOLDS)
        return _json(await desk.find(credential.caller, hold_id))


def _use(caller: Caller, body: UsageRequest, *, key: str) -> WantedUse:
    canonical = orjson.dumps(body.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    return WantedUse(
        caller=caller,
        name=body.operation,
        quantity=body.quantity,
        unit=body.unit,
        project_id=project_of(caller, body.project),
        idempotency_key=key,
        body_sha256=hashlib.sha256(canonical).hexdigest(),
    )


def _response(answer: Answer, caller: Caller, own: OwnApi, *, status: int) -> Response:
    headers = {} if answer.admitted is None else own.money_headers(answer.admitted.admitted, caller)
    return _json(answer.body, status=status, headers=headers)


def _json(body: bytes, *, status: int = 200, headers: dict[str, Any] | None = None) -> Response:
    return Response(body, status, headers, "application/json")
