"""Every event has an example, every example decodes, and a breaking change is found."""

import json
from pathlib import Path

import pytest

from contracts.billing import PaymentSettled
from contracts.cli import RELEASED, compare_with
from contracts.event import UndecodableEventError, decode
from contracts.schema import asyncapi, breaking_changes, event_schema
from contracts.topics import BY_NAME, EVENT_TOPICS, EVENTS, SERVICES

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_the_example_of_each_event_decodes_and_encodes_to_the_same_envelope(event_type: str) -> None:
    value = (EXAMPLES / f"{event_type}.json").read_bytes()

    event = decode(value, EVENTS).event

    assert json.loads(event.encode(event_type.split(".", maxsplit=1)[0])) == _normalised(json.loads(value))


def _normalised(envelope: dict) -> dict:
    text = json.dumps(envelope).replace('.4Z"', '.400000Z"')
    return json.loads(text)


def test_no_example_and_no_released_schema_is_an_orphan() -> None:
    assert {path.name.removesuffix(".json") for path in EXAMPLES.glob("*.json")} == set(EVENTS)
    assert {path.name.removesuffix(".json") for path in RELEASED.glob("*.json")} == set(EVENTS)


def test_every_topic_states_producers_consumers_key_and_description() -> None:
    for topic in EVENT_TOPICS:
        assert topic.description
        assert topic.producers
        assert set(topic.producers + topic.consumers) <= set(SERVICES)
        assert f"{topic.name}.dlq" in BY_NAME
        assert topic.config()["message.timestamp.type"] == "LogAppendTime"


def test_state_topics_are_compacted_and_keyed_by_their_entity_and_fact_topics_by_account() -> None:
    """(money.md 6, 26)."""
    states = {topic.name: topic.key for topic in EVENT_TOPICS if topic.compacted}
    facts = {topic.name: topic.key for topic in EVENT_TOPICS if not topic.compacted}

    assert states == {
        "auth.account-changed.v1": "account_id",
        "auth.api-key-changed.v1": "api_key_id",
        "auth.member-changed.v1": "account_id:user_id",
        "auth.project-changed.v1": "project_id",
        "auth.project-share-changed.v1": "share_id",
        "auth.session-revoked.v1": "session_id",
        "auth.user-changed.v1": "user_id",
        "billing.account-settings-changed.v1": "account_id",
        "billing.plan-published.v1": "plan_id:version",
        "billing.subscription-changed.v1": "subscription_id",
        "gateway.routing-changed.v1": "kind:name",
        "ledger.head-sealed.v1": "account_id",
        "ledger.price-book-published.v1": "version",
    }
    assert "ledger.balance-changed.v1" in facts
    # A mail that auth wants is not an account's; gateways, providers and margins are the operator's; machinery speaks
    # of topics.
    of_no_account = {
        "auth.message-requested.v1",
        "gateway.calls-counted.v1",
        "gateway.provider-state-changed.v1",
        "ledger.margin-fell.v1",
        "ledger.reconciliation-differed.v1",
        "notifier.delivery-failed.v1",
    }
    of_no_account |= {name for name in facts if name.endswith(".dlq-grew.v1")}
    assert {key for name, key in facts.items() if name not in of_no_account} == {"account_id"}
    assert not [topic.name for topic in BY_NAME.values() if topic.compacted and topic.name.endswith(".dlq")]


@pytest.mark.parametrize("event_type", sorted(topic.name for topic in EVENT_TOPICS if topic.compacted))
def test_an_entitys_state_carries_its_version(event_type: str) -> None:
    """(money.md 24, 26): a session has two states only, and the second is for good."""
    names = set(EVENTS[event_type].model_fields)

    assert "version" in names or event_type == "auth.session-revoked.v1"


def test_today_is_compatible_with_the_released_schemas() -> None:
    assert compare_with(RELEASED) == []


def test_an_amount_travels_as_a_string_and_keeps_every_digit() -> None:
    """(money.md 2)."""
    value = json.loads((EXAMPLES / "billing.payment-settled.v1.json").read_bytes())
    value["data"]["grant_amount"] = str(2**53 + 1)

    event = decode(json.dumps(value).encode(), EVENTS).event

    assert isinstance(event, PaymentSettled)
    assert event.grant_amount == 2**53 + 1
    assert event.payload()["grant_amount"] == "9007199254740993"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"),
        (b"{", "not JSON"),
        (b"[]", "not a CloudEvents"),
        (b'{"specversion":"1.0","type":"x"}', "unknown event type"),
        (b'{"specversion":"1.0","type":"auth.account-activated.v1","id":"1"}', "lacks id, time or data"),
        (
            b'{"specversion":"1.0","type":"auth.account-activated.v1","id":"1","time":"2026-11-21T12:00:00Z","data":{}}',
            "account_id, id",
        ),
    ],
)
def test_a_record_that_is_no_event_is_refused_with_a_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(UndecodableEventError, match=reason):
        decode(value, EVENTS)


def test_a_refused_record_does_not_repeat_its_content() -> None:
    value = json.loads((EXAMPLES / "billing.payment-settled.v1.json").read_bytes())
    value["data"]["currency"] = "somebody@example.com"

    with pytest.raises(UndecodableEventError) as refused:
        decode(json.dumps(value).encode(), EVENTS)

    assert "somebody" not in str(refused.value)


def test_the_digest_does_not_depend_on_the_order_of_fields() -> None:
    """(money.md 15)."""
    value = json.loads((EXAMPLES / "gateway.usage-recorded.v1.json").read_bytes())
    turned = {**value, "data": dict(reversed(value["data"].items()))}

    digests = {decode(json.dumps(form).encode(), EVENTS).digest for form in (value, turned)}

    assert len(digests) == 1


def test_adding_an_optional_field_passes_and_removing_or_retyping_one_fails() -> None:
    old = event_schema(PaymentSettled)
    added = json.loads(json.dumps(old))
    added["properties"]["note"] = {"type": "string"}
    removed = json.loads(json.dumps(old))
    del removed["properties"]["paid_minor"]
    retyped = json.loads(json.dumps(old))
    retyped["properties"]["offer_id"]["type"] = "integer"

    assert breaking_changes(old, added) == []
    assert breaking_changes({"const": "a"}, {"enum": ["a", "b"]}) == []
    assert breaking_changes({"enum": ["a", "b"]}, {"const": "a"}) == ["data: enum lost ['b']"]
    assert breaking_changes(old, removed) == ["data.paid_minor: removed"]
    assert breaking_changes(old, retyped) == ["data.offer_id: type changed from string to integer"]


def test_the_asyncapi_document_names_every_topic() -> None:
    assert set(asyncapi("1")["channels"]) == set(EVENTS)
