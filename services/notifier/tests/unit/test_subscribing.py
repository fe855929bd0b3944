"""When the end of a trial, or of the patience with a debtor, is called to mind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from services.notifier.tests import factories

from notifier.domain.subscribing import KnownSubscription

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def known(**changed) -> KnownSubscription:
    event = factories.subscription_changed(uuid4(), "sub_1", **changed)
    return KnownSubscription.of(event.model_copy(update={"time": NOW}), None)


@pytest.mark.parametrize(
    ("given", "remind_at"),
    [
        ({"status": "trialing", "trial_end": NOW + timedelta(days=14)}, NOW + timedelta(days=11)),
        ({"status": "trialing", "trial_end": NOW + timedelta(days=3)}, None),
        ({"status": "trialing", "trial_end": NOW + timedelta(days=14), "cancel_at_period_end": True}, None),
        ({"status": "past_due", "grace_until": NOW + timedelta(days=3)}, NOW + timedelta(days=2)),
        ({"status": "past_due", "grace_until": NOW + timedelta(hours=20)}, None),
        ({"status": "past_due"}, None),
        ({"status": "active", "trial_end": NOW + timedelta(days=14)}, None),
    ],
)
def test_an_end_is_called_to_mind_once_and_not_where_the_change_itself_said_it_late(given, remind_at) -> None:
    assert known(**given).remind_at == remind_at


def test_a_reminder_that_was_given_is_not_due_again_while_the_end_stays() -> None:
    trial = {"status": "trialing", "trial_end": NOW + timedelta(days=14)}
    given = replace(known(**trial), remind_at=None)
    later = factories.subscription_changed(uuid4(), "sub_1", version=2, quantity=3, **trial)
    extended = later.model_copy(update={"trial_end": NOW + timedelta(days=30)})

    assert KnownSubscription.of(later, given).remind_at is None
    assert KnownSubscription.of(extended, given).remind_at == NOW + timedelta(days=27)
