"""The adapter against a small HTTP application that answers as the ledger and auth do."""

from uuid import uuid4

import httpx2
import orjson
import pytest

from contracts.ledger import BalanceChanged
from gateway.adapters.ledger import LedgerSnapshots
from gateway.admission import AdmissionUnavailableError, UnknownAccountError
from kit.clock import ManualClock
from kit.identity import ServiceTokens

CLOCK = ManualClock()


def snapshot_of(account_id):
    event = BalanceChanged(
        id=uuid4(), time=CLOCK.now(), account_id=account_id, version=4, state="open", markup_bps=1500
    )
    return event.payload()


class Ledger:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self):
        self.status, self.body, self.asked = 200, b"{}", []

    async def __call__(self, request):
        if request.url.path == "/internal/service-tokens":
            return httpx2.Response(200, json={"access_token": "service-token", "expires_in": 300})
        self.asked.append((request.url.path, request.headers["authorization"], orjson.loads(request.content)))
        if self.status == 0:
            raise httpx2.ConnectTimeout("slow", request=request)
        return httpx2.Response(self.status, content=self.body)


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def adapter(ledger):
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(ledger))
    tokens = ServiceTokens(service="gateway", secret="s", auth_url="http://auth.test", http=http, clock=CLOCK)
    return LedgerSnapshots(base_url="http://ledger.test/", http=http, tokens=tokens, clock=CLOCK)


async def test_it_asks_with_a_service_token_and_the_entries(adapter, ledger):
    account_id, calls = uuid4(), [uuid4(), uuid4()]
    ledger.body = orjson.dumps(snapshot_of(account_id) | {"field_of_a_newer_ledger": 1})

    event = await adapter.snapshot(account_id, calls)

    assert (event.account_id, event.version, event.markup_bps) == (account_id, 4, 1500)
    assert ledger.asked == [
        (
            f"/internal/accounts/{account_id}/snapshot",
            "Bearer service-token",
            {"calls": [str(call) for call in calls]},
        )
    ]


async def test_an_account_that_the_ledger_does_not_know_is_being_set_up(adapter, ledger):
    ledger.status, ledger.body = 404, b'{"code": "unknown_account"}'

    with pytest.raises(UnknownAccountError):
        await adapter.snapshot(uuid4(), [])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (0, b""),
        (404, b'{"code": "not_found"}'),
        (404, b"[]"),
        (404, b"no route"),
        (401, b"{}"),
        (500, b"{}"),
        (503, b'{"code": "unavailable"}'),
        (200, b"not JSON"),
        (200, b"[1]"),
        (200, b"{}"),
        (200, orjson.dumps(snapshot_of(uuid4()))),
    ],
)
async def test_whatever_else_it_answers_nothing_is_admitted_now(adapter, ledger, status, body):
    ledger.status, ledger.body = status, body

    with pytest.raises(AdmissionUnavailableError) as raised:
        await adapter.snapshot(uuid4(), [])
    assert raised.value.code == "admission_unavailable"
    assert raised.value.retry_after_s == 1
