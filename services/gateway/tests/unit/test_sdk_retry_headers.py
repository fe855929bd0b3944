"""Both official SDKs, asked with their own code, do after each of our answers what we want them to do."""

from datetime import UTC, datetime
from uuid import uuid4

import httpx
import httpx2
import pytest

from gateway.admission.types import Amounts, Left, Refused
from gateway.errors import ModelApiError, overloaded, unavailable
from gateway.surfaces.refusals import refusal
from kit.tokens import Caller

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")

ID = uuid4()
CALLER = Caller(
    user_id=ID, account_id=ID, role="owner", operator=False, session_id=None, api_key_id=None, project_id=None,
    plan=None, scopes=(), expires_at=datetime(2026, 11, 21, tzinfo=UTC),
)  # fmt: skip


def refused(reason: str, retry_after_s: float | None = None) -> ModelApiError:
    told = Refused(
        reason=reason, required=Amounts(credit_nano=10), left=Left(), retry_after_s=retry_after_s, limit=reason
    )
    return refusal(told, caller=CALLER, model="m", upgrade_url="https://faregate.example")


def the_response(client: object, error: ModelApiError):
    """In the HTTP library that the SDK itself uses."""
    library = httpx2 if "httpx2" in type(client._client).__mro__[1].__module__ else httpx
    return library.Response(
        error.status, headers=error.headers, request=library.Request("POST", "http://127.0.0.1/v1/messages")
    )


@pytest.fixture(scope="module", params=["anthropic", "openai"])
def client(request):
    made = anthropic.Anthropic(api_key="k") if request.param == "anthropic" else openai.OpenAI(api_key="k")
    yield made
    made.close()


RETRIED = [
    (refused("requests_per_minute", 11.2), 12),
    (refused("tokens_per_minute", 0.2), 1),
    (refused("concurrency", 2.0), 2),
    (refused("too_many_unconfirmed"), 5),
    (refused("unavailable", 1), 1),
    (unavailable("later", retry_after_s=3), 3),
    (overloaded("busy"), 1),
]
LEFT_ALONE = [
    refused("credit"),
    refused("budget", 3_600),
    refused("frozen"),
    refused("model_not_allowed"),
    refused("max_price"),
    refused("requests_per_minute", 7_200),
    ModelApiError(401, "bad key"),
    ModelApiError(413, "too large"),
]


@pytest.mark.parametrize(("error", "wait_s"), RETRIED, ids=lambda value: str(getattr(value, "message", value))[:40])
def test_what_time_mends_is_tried_again_after_the_time_that_we_say(client, error: ModelApiError, wait_s: int):
    response = the_response(client, error)
    assert client._should_retry(response) is True
    assert client._parse_retry_after_header(response.headers) == wait_s


@pytest.mark.parametrize("error", LEFT_ALONE, ids=lambda error: error.message[:40])
def test_what_time_does_not_mend_is_not_tried_again(client, error: ModelApiError):
    assert client._should_retry(the_response(client, error)) is False
