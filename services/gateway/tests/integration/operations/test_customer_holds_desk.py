"""Holds and usage of customers' servers: one end, one answer, whatever is repeated, raced or killed."""

import asyncio
from uuid import UUID

import orjson
import pytest
from operation_world import IMAGE_NANO, Killed, OperationWorld, server

from contracts.gateway import Operation
from gateway.admission.types import NOTHING, AdmissionUnavailableError
from gateway.errors import ModelApiError
from gateway.operations.admitting import OperationRefusedError, project_of
from gateway.usage.journal import JournalError


async def test_a_hold_is_reserved_then_charged_for_what_was_done(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()

    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)
    confirmed = orjson.loads(await desk.confirm(caller, hold["id"], quantity=1))

    assert (hold["state"], hold["amount_credits"], hold["quantity"]) == ("held", "0.092", 2)
    assert hold["allocation"][0]["amount"] == "0.092"
    assert (confirmed["state"], confirmed["price_credits"], confirmed["quantity"]) == ("confirmed", "0.046", 1)
    [told] = operations.store.told
    assert str(told.id) == hold["request_id"] == confirmed["request_id"]
    assert (told.outcome, told.surface, told.model_asked) == ("completed", "/v1/holds", "image")
    assert told.operation == Operation(
        name="image", quantity=1, unit="image", idempotency_key="key-1", body_sha256="a body"
    )
    assert (told.project_id, told.user_id, told.api_key_id) == (None, caller.user_id, caller.api_key_id)
    assert (told.plan_id, told.plan_version, told.markup_bps) == ("trial", 1, 1500)
    assert [one.amount for one in told.allocation] == [2 * IMAGE_NANO]
    assert operations.admissions.ended[told.id].credit_nano == IMAGE_NANO


async def test_no_gateway_owns_a_hold_so_a_restart_reports_nothing(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()

    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)

    assert operations.journal.all == [UUID(hold["request_id"])]
    assert operations.journal.open == set()
    _, request = operations.admissions.held[UUID(hold["request_id"])]
    assert request.expires_at is not None
    assert orjson.loads(request.report)["operation"]["idempotency_key"] == "key-1"


async def test_a_released_hold_costs_nothing_and_tells_so(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)

    released = orjson.loads(await desk.release(caller, hold["id"]))

    assert (released["state"], released["price_credits"], released["quantity"]) == ("released", "0", 0)
    [told] = operations.store.told
    assert told.operation is not None
    assert (told.basis, told.basis_reason, told.operation.quantity) == ("none", "released", 0)
    assert operations.admissions.ended[told.id] == NOTHING


async def test_the_same_key_and_body_give_the_same_hold_on_any_gateway(operations: OperationWorld) -> None:
    caller = server(operations.clock)

    answers = [
        (await operations.desk(f"gateway-{number}").hold(operations.use(caller), expires_in_s=60)).body
        for number in range(3)
    ]

    assert len(set(answers)) == 1
    assert len(operations.admissions.held) == 1


async def test_the_same_key_used_at_once_on_many_gateways_holds_once(operations: OperationWorld) -> None:
    caller = server(operations.clock)

    uses = [operations.desk(f"gateway-{number}").hold(operations.use(caller), expires_in_s=60) for number in range(8)]
    answers = {answer.body for answer in await asyncio.gather(*uses)}

    assert len(answers) == 1
    assert len(operations.admissions.held) == 1


async def test_another_body_under_the_same_key_is_a_conflict(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    await desk.record(operations.use(caller))

    with pytest.raises(ModelApiError, match="another body") as refused:
        await desk.record(operations.use(caller, body="another", quantity=3))

    assert refused.value.status == 409
    assert len(operations.store.told) == 1


async def test_a_key_on_another_route_or_of_another_account_is_another_key(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()

    await desk.record(operations.use(caller))
    await desk.hold(operations.use(caller), expires_in_s=60)
    await desk.record(operations.use(server(operations.clock)))

    assert len(operations.admissions.held) == 3


async def test_usage_is_admitted_and_told_in_one_go_and_repeated_without_another_event(
    operations: OperationWorld,
) -> None:
    caller = server(operations.clock)

    first = await operations.desk("a").record(operations.use(caller))
    again = await operations.desk("b").record(operations.use(caller))

    assert first.body == again.body
    assert again.admitted is None
    assert orjson.loads(first.body)["state"] == "recorded"
    [told] = operations.store.told
    assert (told.surface, told.gateway_instance) == ("/v1/usage", "a")
    assert operations.admissions.ended[told.id].credit_nano == 2 * IMAGE_NANO


async def test_many_gateways_that_confirm_at_once_tell_one_end_and_give_one_answer(
    operations: OperationWorld,
) -> None:
    caller = server(operations.clock)
    hold = orjson.loads((await operations.desk().hold(operations.use(caller), expires_in_s=60)).body)

    confirming = [operations.desk(f"g{number}").confirm(caller, hold["id"], quantity=None) for number in range(8)]
    answers = set(await asyncio.gather(*confirming))

    assert len(answers) == 1
    assert len(set(operations.store.events)) == 1, "every gateway publishes the same bytes"


async def test_a_confirmation_and_a_release_at_once_have_one_winner(operations: OperationWorld) -> None:
    caller = server(operations.clock)
    for number in range(5):
        use = operations.use(caller, idempotency_key=f"key-{number}")
        hold = orjson.loads((await operations.desk().hold(use, expires_in_s=60)).body)
        operations.store.events.clear()

        ends = await asyncio.gather(
            operations.desk("a").confirm(caller, hold["id"], quantity=None),
            operations.desk("b").release(caller, hold["id"]),
            operations.desk("c").confirm(caller, hold["id"], quantity=1),
            return_exceptions=True,
        )

        assert sum(isinstance(end, bytes) for end in ends) == 1
        assert all(isinstance(end, bytes) or (isinstance(end, ModelApiError) and end.status == 409) for end in ends)
        assert len(set(operations.store.events)) == 1


async def test_a_gateway_killed_before_the_event_is_stored_leaves_the_end_to_the_next_one(
    operations: OperationWorld,
) -> None:
    caller = server(operations.clock)
    hold = orjson.loads((await operations.desk().hold(operations.use(caller), expires_in_s=60)).body)
    operations.store.die_before = True
    with pytest.raises(Killed):
        await operations.desk("a").confirm(caller, hold["id"], quantity=1)
    operations.store.die_before = False

    with pytest.raises(ModelApiError, match="confirmed already"):
        await operations.desk("b").release(caller, hold["id"])
    confirmed = orjson.loads(await operations.desk("b").confirm(caller, hold["id"], quantity=1))

    assert confirmed["price_credits"] == "0.046"
    assert [told.operation.quantity for told in operations.store.told if told.operation] == [1]


async def test_a_gateway_killed_after_admission_is_repeated_with_the_same_hold(operations: OperationWorld) -> None:
    caller = server(operations.clock)
    operations.admissions.die_after.add("admit")
    with pytest.raises(Killed):
        await operations.desk("a").record(operations.use(caller))
    operations.admissions.die_after.clear()

    await operations.desk("b").record(operations.use(caller))

    assert len(operations.admissions.held) == 1
    assert [told.gateway_instance for told in operations.store.told] == ["b"]


@pytest.mark.parametrize(("later_s", "holds"), [(29.0, 1), (31.0, 2)])
async def test_a_use_that_broke_off_long_ago_is_admitted_anew_so_that_its_id_is_of_now(
    operations: OperationWorld, later_s: float, holds: int
) -> None:
    """(money.md 1): the id's time may not be a minute off the admission."""
    caller = server(operations.clock)
    operations.admissions.die_after.add("admit")
    with pytest.raises(Killed):
        await operations.desk().record(operations.use(caller))
    operations.admissions.die_after.clear()

    await operations.desk(offset_s=lambda: later_s).record(operations.use(caller))

    assert len(operations.admissions.held) == holds
    assert len(operations.store.told) == 1


async def test_an_admission_that_failed_leaves_its_key_free(operations: OperationWorld) -> None:
    """Admission gives back what may be held after an error, and never admits that call again."""
    caller = server(operations.clock)
    operations.admissions.away = True
    with pytest.raises(AdmissionUnavailableError):
        await operations.desk().record(operations.use(caller))
    operations.admissions.away = False

    await operations.desk().record(operations.use(caller, body="another"))

    assert len(operations.store.told) == 1


async def test_a_gateway_killed_after_the_end_was_decided_is_told_again_with_the_same_bytes(
    operations: OperationWorld,
) -> None:
    caller = server(operations.clock)
    operations.store.die_before = True
    with pytest.raises(Killed):
        await operations.desk("a").record(operations.use(caller))
    operations.store.die_before = False

    answer = await operations.desk("b").record(operations.use(caller))

    assert orjson.loads(answer.body)["state"] == "recorded"
    assert [told.gateway_instance for told in operations.store.told] == ["a"]
    assert len(operations.admissions.held) == 1


async def test_a_hold_that_could_not_be_journalled_is_given_back(operations: OperationWorld) -> None:
    operations.journal.is_broken = True

    with pytest.raises(JournalError):
        await operations.desk().hold(operations.use(server(operations.clock)), expires_in_s=60)

    assert operations.admissions.held == {}


async def test_a_refused_use_leaves_its_key_free(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    operations.admissions.available_nano = IMAGE_NANO
    with pytest.raises(OperationRefusedError) as refused:
        await desk.record(operations.use(caller))
    assert refused.value.refused.required.credit_nano == 2 * IMAGE_NANO

    operations.admissions.available_nano = 2 * IMAGE_NANO
    await desk.record(operations.use(caller))

    assert len(operations.store.told) == 1


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [({"name": "telepathy"}, 404, "telepathy is not sold"), ({"unit": "run"}, 400, "counted in image")],
)
async def test_what_has_no_price_or_another_unit_is_refused_before_anything_is_held(
    operations: OperationWorld, changes: dict[str, str], status: int, named: str
) -> None:
    with pytest.raises(ModelApiError, match=named) as refused:
        await operations.desk().record(operations.use(server(operations.clock), **changes))

    assert refused.value.status == status
    assert operations.admissions.held == {}


async def test_without_room_for_the_event_nothing_is_admitted(operations: OperationWorld) -> None:
    operations.store.room = False

    with pytest.raises(ModelApiError) as refused:
        await operations.desk().record(operations.use(server(operations.clock)))

    assert refused.value.status == 503
    assert operations.admissions.held == {}


async def test_an_end_that_could_not_be_stored_is_not_answered_as_if_it_were(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)
    operations.store.is_up = False
    with pytest.raises(ModelApiError) as refused:
        await desk.confirm(caller, hold["id"], quantity=None)
    assert refused.value.status == 503
    assert operations.admissions.ended == {}

    operations.store.is_up = True
    assert orjson.loads(await desk.confirm(caller, hold["id"], quantity=None))["price_credits"] == "0.092"


async def test_an_expired_hold_can_neither_be_confirmed_nor_released(operations: OperationWorld) -> None:
    caller = server(operations.clock)
    hold = orjson.loads((await operations.desk().hold(operations.use(caller), expires_in_s=60)).body)
    later = operations.desk(offset_s=lambda: 61.0)

    for ending in (later.confirm(caller, hold["id"], quantity=None), later.release(caller, hold["id"])):
        with pytest.raises(ModelApiError, match="expired at") as refused:
            await ending
        assert refused.value.status == 409
    assert operations.store.events == []


async def test_a_confirmation_is_repeated_after_the_expiry_as_it_was(operations: OperationWorld) -> None:
    caller = server(operations.clock)
    hold = orjson.loads((await operations.desk().hold(operations.use(caller), expires_in_s=60)).body)
    first = await operations.desk().confirm(caller, hold["id"], quantity=1)

    assert await operations.desk(offset_s=lambda: 61.0).confirm(caller, hold["id"], quantity=1) == first


async def test_more_than_was_held_cannot_be_confirmed(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)

    with pytest.raises(ModelApiError, match="above the held 2"):
        await desk.confirm(caller, hold["id"], quantity=3)


async def test_a_hold_is_found_as_it_stands(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)
    assert orjson.loads(await desk.find(caller, hold["id"])) == hold

    confirmed = await desk.confirm(caller, hold["id"], quantity=None)

    assert await desk.find(caller, hold["id"]) == confirmed


async def test_a_hold_of_another_account_or_project_is_not_there(operations: OperationWorld) -> None:
    caller, desk = server(operations.clock), operations.desk()
    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)
    other_project = server(operations.clock, account_id=caller.account_id, project_id=caller.user_id)

    for stranger in (server(operations.clock), other_project):
        with pytest.raises(ModelApiError, match="no such hold"):
            await desk.confirm(stranger, hold["id"], quantity=None)


async def test_a_hold_that_redis_has_forgotten_is_confirmed_all_the_same(operations: OperationWorld) -> None:
    """(money.md 6): the entry is made as ended, and the event is told with all that was stamped."""
    caller, desk = server(operations.clock), operations.desk()
    hold = orjson.loads((await desk.hold(operations.use(caller), expires_in_s=60)).body)
    await operations.lose_redis(caller.account_id)
    operations.admissions.held.clear()

    confirmed = orjson.loads(await operations.desk("b").confirm(caller, hold["id"], quantity=None))

    assert confirmed["price_credits"] == "0.092"
    [told] = operations.store.told
    assert [one.amount for one in told.allocation] == [2 * IMAGE_NANO]
    assert told.gateway_instance == "gateway-1", "the admitting one"
    assert operations.admissions.ended[told.id].credit_nano == 2 * IMAGE_NANO


async def test_a_key_of_a_project_works_for_that_project_only(operations: OperationWorld) -> None:
    bound = server(operations.clock, project_id=(project := server(operations.clock).user_id))

    assert project_of(bound, None) == project_of(bound, project) == project
    with pytest.raises(ModelApiError, match="another project"):
        project_of(bound, bound.user_id)
