"""Breakers, cool-downs and what is said of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway.errors import ModelApiError
from gateway.routing.health import HealthRules
from gateway.routing.types import Target, TargetOutcome

from .world import CONFIG, World, world_at

SINGLE = CONFIG.replace(
    '  { id = "two", secret = "env:FAREGATE_TWO_API_KEY" },\n', ""
)  # each route has one credential then


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_at(tmp_path, SINGLE)


def report(world: World, target: Target, outcome: TargetOutcome, times: int = 1, retry_after_s: float | None = None):
    for _ in range(times):
        world.routing.report(target, outcome, retry_after_s)


def routes(world: World, model: str = "dear") -> list[str]:
    return [target.route for target in world.choose(model).targets]


def first(world: World) -> Target:
    return world.choose().targets[0]


def test_failures_in_a_row_open_the_breaker_and_the_next_route_takes_over(world: World) -> None:
    target = first(world)

    report(world, target, "failed", 4)
    assert routes(world) == ["first", "second"]
    report(world, target, "failed")
    assert routes(world) == ["second"]


def test_a_success_between_failures_keeps_the_breaker_closed(world: World) -> None:
    target = first(world)

    for _ in range(4):
        report(world, target, "failed", 4)
        report(world, target, "ok", 12)

    assert routes(world) == ["first", "second"]


def test_too_large_a_share_of_failures_opens_the_breaker_too(world: World) -> None:
    target = first(world)

    for _ in range(10):
        report(world, target, "failed")
        report(world, target, "ok")

    report(world, target, "failed")
    assert routes(world) == ["second"]


def test_failures_that_are_long_past_do_not_count(world: World) -> None:
    target = first(world)

    for _ in range(8):
        report(world, target, "failed", 3)
        report(world, target, "ok", 1)
        world.clock.advance(31)

    assert routes(world) == ["first", "second"]


def test_a_clients_fault_is_never_the_providers(world: World) -> None:
    report(world, first(world), "client_fault", 100)

    assert routes(world) == ["first", "second"]
    assert world.published == []


def test_when_it_is_time_one_call_tries_and_the_others_stay_away(world: World) -> None:
    target = first(world)
    report(world, target, "failed", 5)
    world.clock.advance(2.1)

    assert [routes(world) for _ in range(3)] == [["first", "second"], ["second"], ["second"]]


def test_a_try_that_succeeds_closes_the_breaker(world: World) -> None:
    target = first(world)
    report(world, target, "failed", 5)
    world.clock.advance(2.1)
    report(world, first(world), "ok")

    assert [routes(world) for _ in range(3)] == [["first", "second"]] * 3
    assert world.choose() is world.choose()


def test_a_try_that_fails_opens_it_for_longer(world: World) -> None:
    target = first(world)
    report(world, target, "failed", 5)
    for _ in range(5):
        world.clock.advance(61)
        report(world, first(world), "failed")
    world.clock.advance(2.1)

    assert routes(world) == ["second"]


def test_a_try_of_which_nothing_is_heard_is_followed_by_another(world: World) -> None:
    report(world, first(world), "failed", 5)
    world.clock.advance(2.1)
    assert routes(world) == ["first", "second"]

    world.clock.advance(11)
    assert routes(world) == ["first", "second"]


def test_what_began_before_the_trouble_does_not_end_it(world: World) -> None:
    target = first(world)
    report(world, target, "failed", 5)
    report(world, target, "ok", 3)

    assert routes(world) == ["second"]


@pytest.mark.parametrize("outcome", ["rate_limited", "overloaded"])
def test_a_credential_that_is_limited_cools_for_as_long_as_the_provider_says(world: World, outcome: TargetOutcome):
    report(world, first(world), outcome, retry_after_s=20)

    world.clock.advance(19)
    assert routes(world) == ["second"]
    world.clock.advance(2)
    assert routes(world) == ["first", "second"]


def test_without_a_word_from_the_provider_the_cool_downs_grow(world: World) -> None:
    target = first(world)
    waits = []
    for _ in range(8):
        report(world, target, "rate_limited")
        (cooling,) = [one.cooling for one in world.routing.healths() if one.route == "first"]
        waits.append(cooling.until - world.clock.monotonic())
        world.clock.advance(waits[-1] + 0.1)

    assert waits[0] <= 1
    assert waits[-1] > 20
    assert max(waits) <= 60


def test_many_refusals_at_once_are_one(world: World) -> None:
    target = first(world)
    report(world, target, "rate_limited", 50)

    world.clock.advance(1.1)
    assert routes(world) == ["first", "second"]


def test_a_cooling_credential_cools_on_every_route_and_others_do_not(tmp_path: Path) -> None:
    config = CONFIG + '\n[routes.again]\nprovider = "first"\nmodels = ["cheap"]\norder = 2\n'
    world = world_at(tmp_path, config)
    one = next(target for target in world.choose("cheap").targets if target.credential_id == "one")
    report(world, one, "rate_limited", retry_after_s=30)

    targets = world.choose("cheap").targets
    assert {(target.route, target.credential_id) for target in targets} == {("first", "two"), ("again", "two")}


def test_a_conversation_comes_back_to_its_credential(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    target = first(world)
    report(world, target, "rate_limited", retry_after_s=5)
    moved = first(world)
    world.clock.advance(6)
    report(world, first(world), "ok")

    assert moved.credential_id != target.credential_id
    assert first(world).credential_id == target.credential_id


def test_nothing_left_is_the_providers_overload_with_the_time_to_wait(world: World) -> None:
    for target in world.choose().targets:
        report(world, target, "rate_limited", retry_after_s=12)

    with pytest.raises(ModelApiError) as caught:
        world.choose()
    assert (caught.value.status, caught.value.error_type) == (529, "overloaded_error")
    assert caught.value.headers["retry-after"] == "12"


def states(world: World) -> list[tuple[str, str]]:
    return [(event.route, event.state) for event in world.published]


def test_each_transition_is_said_once(world: World) -> None:
    target = first(world)
    report(world, target, "failed", 12)
    world.clock.advance(61)
    report(world, first(world), "ok", 3)

    assert states(world) == [("first", "broken"), ("first", "serving")]
    broken = world.published[0]
    assert (broken.provider, broken.credential_id, broken.reason) == ("first", "one", "failing")
    assert broken.gateway_instance == "gateway-a"
    assert broken.until > broken.time
    assert len({event.id for event in world.published}) == 2


def test_a_credential_that_keeps_cooling_is_said_once_a_minute(world: World) -> None:
    target = first(world)
    for _ in range(20):
        report(world, target, "rate_limited", retry_after_s=1)
        world.clock.advance(1.5)
        report(world, target, "ok")

    assert states(world) == [("first", "cooling"), ("first", "serving")]


def test_a_cool_down_that_ended_well_is_said(world: World) -> None:
    report(world, first(world), "overloaded", retry_after_s=3)
    world.clock.advance(4)
    report(world, first(world), "ok")

    assert states(world) == [("first", "cooling"), ("first", "serving")]
    assert world.published[0].reason == "overloaded"


def test_reading_the_file_again_forgets_no_trouble(world: World) -> None:
    report(world, first(world), "failed", 5)
    world.write(SINGLE + "\n# a remark\n")
    world.routing.tick()

    assert routes(world) == ["second"]


def test_another_address_is_another_chance(world: World) -> None:
    report(world, first(world), "failed", 5)
    world.write(SINGLE.replace("http://first.test:8000", "http://first.test:8001"))
    world.routing.tick()

    assert routes(world) == ["first", "second"]
    assert states(world) == [("first", "broken"), ("first", "serving")]


def test_a_report_on_what_is_configured_no_longer_is_passed_over(world: World) -> None:
    world.routing.report(replace(first(world), route="gone"), "failed", None)

    assert routes(world) == ["first", "second"]


def test_outcomes_and_states_are_counted(tmp_path: Path) -> None:

    world = world_at(tmp_path, SINGLE.replace("[routes.first]", "[routes.counted]"), rules=HealthRules())
    target = first(world)
    report(world, target, "ok", 3)
    report(world, target, "failed", 5)
    world.routing.tick()

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"route": "counted", "credential": "one", **labels})

    assert value("faregate_provider_outcomes_total", outcome="ok") == 3
    assert value("faregate_provider_outcomes_total", outcome="failed") == 5
    assert value("faregate_provider_state") == 2
