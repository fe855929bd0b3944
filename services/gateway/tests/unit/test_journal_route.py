"""`GET /internal/journal/{instance}`: the ledger's `reconcile` asks which calls an instance admitted (money.md 31)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI, Request

from gateway.entrypoints.internal import build_router
from kit.health import Health
from kit.http import create_app

CALL = UUID("0199f3a0-0000-7000-8000-00000000000c")
WINDOW = {"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T12:01:00Z"}


class Journals:
    async def journalled(self, instance, *, start, end):
        return [CALL] if instance == "g-1" and start.minute == 0 and end.minute == 1 else None

    async def report_lost(self, instance, call_ids):
        return [call_id for call_id in call_ids if call_id == CALL] if instance == "g-1" else None


@asynccontextmanager
async def idle(_app: FastAPI) -> AsyncIterator[None]:
    yield


async def ask(
    path: str, params: dict[str, str] | None = None, *, body: object = None, service: str = "ledger"
) -> httpx2.Response:
    async def calling(_request: Request) -> str:
        return service

    app = create_app(service="gateway", title="t", routers=[build_router(Journals())], health=Health(), lifespan=idle)
    app.state.identity = SimpleNamespace(service=calling)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
        if body is not None:
            return await http.post(path, json=body)
        return await http.get(path, params=params)


async def test_the_ledger_is_told_the_ids_of_a_window():
    answer = await ask("/internal/journal/g-1", WINDOW)

    assert (answer.status_code, answer.json()) == (200, {"instance": "g-1", "ids": [str(CALL)]})


@pytest.mark.parametrize(
    ("path", "params", "service", "status"),
    [
        ("/internal/journal/g-2", WINDOW, "ledger", 404),
        ("/internal/journal/g-1", WINDOW, "notifier", 404),
        ("/internal/journal/g-1", {**WINDOW, "to": "2026-11-21T14:00:00Z"}, "ledger", 422),
        ("/internal/journal/g-1", {**WINDOW, "to": "2026-11-21T11:00:00Z"}, "ledger", 422),
        ("/internal/journal/g-1", {"from": WINDOW["from"]}, "ledger", 422),
    ],
)
async def test_anything_else_is_refused(path, params, service, status):
    assert (await ask(path, params, service=service)).status_code == status


async def test_the_ledger_may_ask_for_an_end_of_calls_that_are_nowhere():
    other = UUID("0199f3a0-0000-7000-8000-00000000000d")

    answer = await ask("/internal/journal/g-1/lost", body={"ids": [str(CALL), str(other)]})

    assert (answer.status_code, answer.json()) == (200, {"instance": "g-1", "ids": [str(CALL)]})


@pytest.mark.parametrize(
    ("instance", "body", "service", "status"),
    [
        ("g-2", {"ids": [str(CALL)]}, "ledger", 404),
        ("g-1", {"ids": [str(CALL)]}, "billing", 404),
        ("g-1", {"ids": []}, "ledger", 422),
        ("g-1", {"ids": [str(CALL)] * 1001}, "ledger", 422),
        ("g-1", {"ids": ["no id"]}, "ledger", 422),
    ],
)
async def test_an_end_is_given_to_nobody_else(instance, body, service, status):
    answer = await ask(f"/internal/journal/{instance}/lost", body=body, service=service)

    assert answer.status_code == status
