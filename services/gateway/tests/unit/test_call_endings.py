"""Outcome, basis and charge from what was seen of a call."""

import pytest

from gateway.usage.ending import Progress, ending_of
from gateway.usage.seen import UsageSeen


def seen(*, stop_reason: str | None = None, output: int = 1, model: str = "m") -> UsageSeen:
    usage = UsageSeen()
    usage.message({"model": model, "stop_reason": stop_reason, "usage": {"input_tokens": 10, "output_tokens": output}})
    return usage


def end(progress: Progress):
    return ending_of(progress, model_asked="m", likely_input_tokens=77, is_priced={"m", "b"}.__contains__)


@pytest.mark.parametrize(
    ("progress", "outcome", "basis"),
    [
        (Progress(status=200, seen=seen(), complete=True, has_content=True), "completed", "provider"),
        (Progress(status=200, seen=seen(), complete=True, client_gone=True), "client_gone", "provider"),
        (Progress(status=200, seen=seen(stop_reason="refusal"), complete=True), "refused", "none"),
        (
            Progress(status=200, seen=seen(stop_reason="refusal"), complete=True, has_content=True),
            "completed",
            "provider",
        ),
        (Progress(broken="ClientConnectorError"), "upstream_error", "none"),
        (Progress(status=529), "upstream_error", "none"),
        (Progress(status=200, seen=seen(), error_event=True), "upstream_error", "none"),
        (Progress(status=200, seen=seen(), error_event=True, has_content=True), "upstream_error", "estimated"),
        (Progress(status=200, seen=seen(), broken="ClientPayloadError"), "truncated", "none"),
        (Progress(status=200, seen=seen(), has_content=True), "truncated", "estimated"),
        (Progress(status=200, seen=seen(stop_reason="end_turn"), has_content=True), "truncated", "provider"),
        (Progress(status=200, seen=seen(), has_content=True, cut="shutdown"), "truncated", "estimated"),
        (Progress(cut="shutdown"), "truncated", "none"),
        (Progress(cut="client_gone", client_gone=True), "client_gone", "estimated"),
        (Progress(status=200, seen=seen(), cut="client_gone", client_gone=True), "client_gone", "estimated"),
    ],
)
def test_each_way_to_end(progress, outcome, basis):
    """(money.md 13)."""
    ending = end(progress)
    assert (ending.outcome, ending.basis) == (outcome, basis)
    if basis == "none":
        assert ending.counts.input_tokens == ending.counts.output_tokens == 0


def test_an_estimate_takes_what_was_delivered_when_it_is_more_than_the_provider_said():
    """(money.md 13)."""
    counts = end(Progress(status=200, seen=seen(output=2), has_content=True, delivered_tokens=30)).counts
    assert (counts.input_tokens, counts.output_tokens) == (10, 30)


def test_without_any_count_the_input_is_estimated():
    """(money.md 13)."""
    assert end(Progress(cut="client_gone", client_gone=True)).counts.input_tokens == 77


def test_a_complete_answer_without_usage_is_not_free():
    ending = end(Progress(status=200, seen=UsageSeen(), complete=True, has_content=True, delivered_tokens=9))
    assert (ending.basis, ending.counts.output_tokens) == ("estimated", 9)


def test_a_served_model_without_a_price_is_charged_as_what_was_asked():
    """(money.md 19)."""
    assert end(Progress(status=200, seen=seen(model="new"), complete=True)).model_served == "m"
    assert end(Progress(status=200, seen=seen(model="b"), complete=True)).model_served == "b"
