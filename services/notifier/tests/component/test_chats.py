"""Slack, Discord and Teams get what each of them wants to read; Apprise speaks, the wire is a stand-in."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import requests
from services.notifier.tests import factories
from services.notifier.tests.running import Notifier, in_process, until
from services.notifier.tests.stand_in_auth import StandInAuth

URLS = {
    "slack": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "discord": "https://discord.com/api/webhooks/417429632418316298/JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF7711o33MyqU344Qpgv7YTpadV_js",
    "teams": "https://prod-161.westeurope.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64"
    "/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu",
}  # fmt: skip
TAKEN = {"slack": (200, b"ok"), "discord": (204, b""), "teams": (202, b"")}


class Wire:
    """Where requests would leave for the chats."""

    def __init__(self) -> None:
        self.sent: list[requests.PreparedRequest] = []
        self.status: int | None = None

    def send(self, request: requests.PreparedRequest, **_named: Any) -> requests.Response:
        self.sent.append(request)
        service = next(name for name, url in URLS.items() if request.url and request.url[:22] == url[:22])
        answer = requests.Response()
        answer.status_code, answer._content = TAKEN[service]
        answer.status_code = self.status or answer.status_code
        answer.request, answer.url = request, str(request.url)
        return answer


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", wire.send)
    return wire


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def notifier(surround) -> AsyncIterator[Notifier]:
    async with surround() as around, in_process(around) as running:
        yield running


async def add(notifier: Notifier, account_id: UUID, channel: str, **more: Any) -> dict[str, Any]:
    answer = await notifier.ask(
        "POST", "/notifications/endpoints", account_id=account_id, channel=channel, url=URLS[channel], **more
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("channel", URLS)
async def test_a_chat_is_told_in_its_own_form_and_its_language(
    notifier: Notifier, auth: StandInAuth, address: str, wire: Wire, channel: str
) -> None:
    account_id = auth.account(address)
    made = await add(notifier, account_id, channel, language="de")
    await notifier.deliver(factories.threshold_crossed(account_id))

    row = (await until(lambda: notifier.rows("target_id = :id AND state = 'sent'", id=UUID(made["id"]))))[0]

    said = json.dumps(json.loads(wire.sent[0].body), ensure_ascii=False)
    assert row["channel"] == channel
    assert wire.sent[0].url.partition("?")[0] == URLS[channel].partition("?")[0].replace(":443", ":443")
    assert "Weniger als 25 % Ihres Guthabens sind übrig" in said
    assert "1,249999999 Credits" in said
    assert "Sie erhalten diese Mail" not in said
    assert "apprise" not in said.lower()
    assert (made["secret"], URLS[channel].partition("/")[0] in made["url"]) == (None, True)
    assert URLS[channel] not in json.dumps(made)


async def test_a_chat_that_refuses_is_tried_again_and_the_reason_holds_its_answer_but_not_its_url(
    notifier: Notifier, auth: StandInAuth, address: str, wire: Wire
) -> None:
    account_id = auth.account(address)
    wire.status = 404
    made = await add(notifier, account_id, "slack")
    await notifier.deliver(factories.threshold_crossed(account_id))

    row = (await until(lambda: notifier.rows("target_id = :id AND reason IS NOT NULL", id=UUID(made["id"]))))[0]

    assert (row["state"], row["reason"]) == ("pending", "slack answered 404")
