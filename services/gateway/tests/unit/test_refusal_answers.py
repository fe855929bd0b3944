"""What each refusal of admission becomes."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.admission.types import RefusalReason, Refused
from gateway.dataplane.refusals import refusal
from kit.tokens import Caller

ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")
CALLER = Caller(
    user_id=ACCOUNT,
    account_id=ACCOUNT,
    role="owner",
    operator=False,
    session_id=None,
    api_key_id=None,
    project_id=None,
    plan=None,
    scopes=(),
    expires_at=datetime(2026, 11, 21, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("reason", "status", "retry"),
    [
        ("credit", 402, "false"),
        ("frozen", 403, "false"),
        ("closed", 403, "false"),
        ("model_not_allowed", 404, "false"),
        ("amount_too_large", 400, "false"),
        ("too_many_unconfirmed", 503, "true"),
    ],
)
def test_each_refusal_has_its_status_and_only_too_many_unbooked_calls_are_tried_again(
    reason: RefusalReason, status: int, retry: str
) -> None:
    """(money.md 2, 6)."""
    refused = Refused(reason=reason, available_nano=1, required_nano=10**16, arming=1, first_of_arming=False)

    answer = refusal(refused, caller=CALLER, model="claude-sonnet-4-5", upgrade_url="https://faregate.example/upgrade")

    assert answer.status == status
    assert answer.headers["x-should-retry"] == retry
