"""The quick price of plain calls is the price that `rating` finds; what is not plain is left to it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts.gateway import Counts, UsageRecorded
from kit.clock import ManualClock
from kit.ids import uuid7
from ledger.domain.pricing import rate
from ledger.domain.vectors import rate_plain
from ledger.settings import SHIPPED_BOOK
from rating import parse_book

BOOK = parse_book(SHIPPED_BOOK.read_text(), version=1)
BOOKS = {1: BOOK}
TOKENS = [name for name in Counts.model_fields if name.endswith("_tokens")]


def call(**more: Any) -> UsageRecorded:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": uuid7(ManualClock()),
        "time": now,
        "account_id": uuid4(),
        "gateway_instance": "g",
        "surface": "/v1/messages",
        "streamed": True,
        "model_asked": "claude-sonnet-4-5",
        "route": "r",
        "outcome": "completed",
        "basis": "provider",
        "counts": Counts(input_tokens=1000),
        "admitted_at": now,
        "ended_at": now,
        "price_book_version": 1,
        "markup_bps": 1500,
    }
    return UsageRecorded(**{**values, **more})


def test_every_model_at_any_counts_instant_and_markup_costs_what_rating_says() -> None:
    chance = random.Random(11)  # a test's dice
    quick = 0
    for model in BOOK.rates:
        for _ in range(40):
            counts = Counts(**{name: chance.choice([0, 0, 1, 7, 99_999, 100_001, 3_000_000]) for name in TOKENS})
            event = call(
                model_served=model,
                counts=counts,
                markup_bps=chance.choice([0, 1, 1500, 9_999]),
                admitted_at=datetime(2026, 11, 21, tzinfo=UTC) - timedelta(days=chance.randrange(60)),
                outcome=chance.choice(["completed", "refused", "orphaned", "client_gone"]),
                service_tier=chance.choice([None, "standard", "priority"]),
                inference_geo=chance.choice([None, "global", "not_available"]),
            )
            found = rate_plain(event, digest=b"d", books=BOOKS)
            if found is not None:
                quick += 1
                assert found == rate(event, digest=b"d", books=BOOKS)
            else:
                assert counts == Counts()
    assert quick > 30 * len(BOOK.rates)


@pytest.mark.parametrize(
    "odd",
    [
        {"price_book_version": 2},
        {"model_served": "unheard-of"},
        {"counts": Counts()},
        {"counts": Counts(input_tokens=10**9 + 1)},
        {"counts": Counts(input_tokens=5, web_search_requests=1)},
        {"counts": Counts(input_tokens=5, web_fetch_requests=1)},
        {"counts": Counts(input_tokens=5, code_execution_requests=1)},
        {"iterations": ({"model": "claude-sonnet-4-5", "counts": {"output_tokens": 5}},)},
        {"speed": "fast"},
        {"inference_geo": "us"},
        {"service_tier": "batch"},
        {"service_tier": "gold"},
        {"operation": {"name": "page", "quantity": "3", "unit": "page"}},
    ],
)
def test_what_is_not_plain_is_left_to_rating(odd: dict[str, Any]) -> None:
    assert rate_plain(call(**odd), digest=b"d", books=BOOKS) is None
