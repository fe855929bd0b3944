"""The operator API, on a topic of its own that hands every record to two gateways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from contracts.gateway import RoutingChanged
from gateway.entrypoints import providers
from gateway.errors import ModelApiError
from gateway.routing.operating import RoutingOperations
from kit.health import Health
from kit.http import create_app
from kit.identity import Identity, Revocations
from kit.producer import ProducerError
from kit.testing import Signer
from kit.tokens import TokenVerifier

from .world import CONFIG, World, world_at

SECOND = {"kind": "anthropic", "address": "https://third.test", "credentials": [{"id": "main", "secret": "env:X"}]}

MINE = [{"id": "main", "secret": "env:FAREGATE_ONE_API_KEY"}]


@dataclass
class Topic:
    """A compacted topic in memory; what `before` holds comes first, as from a gateway that was faster."""

    readers: list[World] = field(default_factory=list)
    records: list[RoutingChanged] = field(default_factory=list)
    before: list[RoutingChanged] = field(default_factory=list)
    is_away: bool = False

    async def publish(self, event: Any) -> None:
        if self.is_away:
            raise ProducerError("away")
        for record in [*self.before, event]:
            self.records.append(record)
            for reader in self.readers:
                reader.routing.on_changed(RoutingChanged.from_envelope({
                    "id": str(record.id), "time": record.time.isoformat(), "data": record.payload(),
                }))  # fmt: skip
        self.before.clear()


@dataclass
class Office:
    """An operator at one gateway, and another gateway elsewhere."""

    here: World
    elsewhere: World
    topic: Topic
    operator: httpx2.AsyncClient
    customer: httpx2.AsyncClient

    async def put(self, path: str, spec: dict[str, Any], version: int = 0) -> httpx2.Response:
        body = {"spec": spec, "expected_version": version, "reason": "a test"}
        return await self.operator.put(f"/gateway/operator/{path}", json=body)

    async def switch(self, path: str, **body: Any) -> httpx2.Response:
        return await self.operator.post(f"/gateway/operator/{path}", json={"reason": "a test", **body})


@asynccontextmanager
async def no_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    here, elsewhere = world_at(tmp_path / "a"), world_at(tmp_path / "b")
    topic = Topic([here, elsewhere])
    operations = RoutingOperations(here.routing, publish=topic.publish, clock=here.clock, wait_s=0.2)
    signer = Signer(issuer="http://faregate.test", clock=here.clock)
    routers = [
        providers.build_router(here.routing, operations, clock=here.clock),
        providers.build_alias_router(here.routing, operations),
    ]
    app = create_app(service="gateway", title="t", routers=routers, health=Health(), lifespan=no_lifespan)
    verifier = TokenVerifier(signer, issuer="http://faregate.test", clock=here.clock)
    app.state.identity = Identity(verifier, Revocations(), service="gateway")

    def client(*, operator: bool) -> httpx2.AsyncClient:
        token = signer.user_token(account_id=uuid4(), operator=operator)
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app),
            base_url="http://gateway",
            headers={"authorization": f"Bearer {token}"},
        )

    async with client(operator=True) as operator, client(operator=False) as customer:
        yield Office(here, elsewhere, topic, operator, customer)


def hosts(world: World, model: str = "dear") -> list[str]:
    world.routing.tick()
    return [target.address.host for target in world.choose(model).targets]


async def test_disabling_a_provider_takes_effect_on_every_gateway_and_enabling_takes_it_back(office: Office) -> None:
    answer = await office.switch("providers/first/disable", expected_version=0)

    assert answer.status_code == 200
    assert (answer.json()["enabled"], answer.json()["version"], answer.json()["source"]) == (False, 1, "operator")
    assert hosts(office.here) == hosts(office.elsewhere) == ["second.test"]

    await office.switch("providers/first/enable", expected_version=1)
    assert hosts(office.elsewhere) == ["first.test", "first.test", "second.test"]


async def test_a_change_survives_a_restart(office: Office, tmp_path: Path) -> None:
    await office.switch("routes/first/disable")
    await office.put("aliases/best", {"model": "cheap"})
    restarted = world_at(tmp_path)
    for record in office.topic.records:
        restarted.routing.on_changed(record)
    await restarted.routing.ready()

    assert [target.route for target in restarted.choose("dear").targets] == ["second"]
    with pytest.raises(ModelApiError):  # cheap had the first route only
        restarted.choose("best")


async def test_a_record_says_who_and_why(office: Office) -> None:
    await office.switch("models/cheap/disable", reason="too cheap")

    (record,) = office.topic.records
    assert (record.key, record.version, record.enabled, record.spec) == ("model:cheap", 1, False, None)
    assert record.reason == "too cheap"


async def test_a_model_that_the_file_does_not_name_can_be_switched_off_and_on(office: Office) -> None:
    assert office.here.choose("cheap").model == "cheap"

    await office.switch("models/cheap/disable")
    with pytest.raises(ModelApiError):
        office.here.choose("cheap")
    listed = (await office.operator.get("/gateway/operator/models")).json()["entries"]
    assert [(one["name"], one["enabled"]) for one in listed] == [("dear", True), ("cheap", False), ("open-small", True)]

    await office.switch("models/cheap/enable")
    assert office.here.choose("cheap").model == "cheap"
    assert (await office.switch("models/unheard-of/disable")).status_code == 404


async def test_a_whole_new_provider_with_a_route_serves(office: Office) -> None:
    await office.put("providers/third", {**SECOND, "credentials": MINE})
    answer = await office.put("routes/third", {"provider": "third", "models": ["cheap"], "order": 0})

    assert answer.status_code == 200
    assert hosts(office.elsewhere, "cheap")[0] == "third.test"
    assert "third" in (await office.operator.get("/gateway/operator/routing")).json()["providers_on"]


@pytest.mark.parametrize(
    ("path", "spec", "field", "reason"),
    [
        ("routes/new", {"provider": "nobody", "models": ["dear"]}, "routes.new.provider", "no such provider"),
        ("aliases/best", {"model": "best"}, "aliases.best.model", "is an alias itself"),
        ("aliases/dear", {"model": "cheap"}, "aliases.", ""),
        ("models/best", {"display_name": "Best"}, "aliases.best", "a model has this name"),
        ("models/dear", {"failover": ["unheard-of"]}, "models.dear.failover.0", "no route serves"),
        ("route-sets/gold", {"credentials": ["first/nine"]}, "route_sets.gold.credentials.0", "no such credential"),
        ("providers/third", SECOND, "providers.third.credentials.0.secret", "references that the file allows"),
        (
            "providers/third",
            {**SECOND, "credentials": [{"id": "main", "secret": "env:FAREGATE_GATEWAY_SERVICE_SECRET"}]},
            "providers.third.credentials.0.secret",
            "references that the file allows",
        ),
        (
            "providers/third",
            {**SECOND, "address": "https://third.test/${FAREGATE_GATEWAY_SERVICE_SECRET}", "credentials": MINE},
            "providers.third.address",
            "only the file may name variables",
        ),
        ("route-sets/Gold", {}, "route_sets.Gold", "String should match"),
    ],
)
async def test_a_change_that_would_break_the_whole_is_refused_with_field_and_reason(
    office: Office, path: str, spec: dict[str, Any], field: str, reason: str
) -> None:
    answer = await office.put(path, spec)

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_routing"
    error = answer.json()["errors"][0]
    assert error["field"].startswith(field)
    assert reason in error["reason"]
    assert office.topic.records == []


async def test_a_literal_secret_is_refused_and_not_repeated(office: Office) -> None:
    answer = await office.put("providers/third", {**SECOND, "credentials": [{"id": "main", "secret": "sk-live-99"}]})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": "spec.credentials.0.secret",
            "reason": "Value error, a secret is given by reference: env:NAME or file:/path",
        }
    ]
    assert "sk-live-99" not in answer.text


async def test_removing_what_others_need_is_refused(office: Office) -> None:
    await office.put("routes/extra", {"provider": "first", "models": ["new"]})
    await office.put("aliases/newest", {"model": "new"})
    gone = {"expected_version": 1, "reason": "a test"}

    answer = await office.operator.delete("/gateway/operator/routes/extra", params=gone)
    assert answer.json()["errors"] == [{"field": "aliases.newest.model", "reason": "no route serves this model"}]

    await office.operator.delete("/gateway/operator/aliases/newest", params=gone)
    assert (await office.operator.delete("/gateway/operator/routes/extra", params=gone)).status_code == 204
    assert (await office.operator.get("/gateway/operator/routes/extra")).status_code == 404


async def test_taking_a_change_back_leaves_what_the_file_says(office: Office) -> None:
    await office.put("aliases/best", {"model": "cheap"})
    assert office.here.choose("best").model == "cheap"

    gone = {"expected_version": 1, "reason": "a test"}
    await office.operator.delete("/gateway/operator/aliases/best", params=gone)

    assert office.here.choose("best").model == "dear"
    entry = (await office.operator.get("/gateway/operator/aliases/best")).json()
    assert (entry["source"], entry["version"]) == ("file", 2)
    again = await office.operator.delete("/gateway/operator/aliases/best", params={**gone, "expected_version": 2})
    assert again.status_code == 404


async def test_a_patch_changes_what_it_names_and_keeps_the_rest(office: Office) -> None:
    body = {"changes": {"order": 0, "names": None}, "expected_version": 0, "reason": "a test"}
    answer = await office.operator.patch("/gateway/operator/routes/second", json=body)

    spec = answer.json()["spec"]
    assert (spec["provider"], spec["order"], spec["names"]) == ("second", 0, {})
    assert office.here.choose().targets[0].model == "dear"


async def test_a_change_to_a_disabled_entry_leaves_it_disabled(office: Office) -> None:
    await office.switch("routes/first/disable")
    await office.put("routes/first", {"provider": "first", "models": ["dear"]}, version=1)
    assert hosts(office.here) == ["second.test"]

    await office.put("routes/first", {"provider": "first", "models": ["dear"], "enabled": True}, version=2)
    assert hosts(office.here)[0] == "first.test"


async def test_another_version_than_the_expected_is_a_conflict(office: Office) -> None:
    await office.switch("routes/first/disable")

    answer = await office.put("routes/first", {"provider": "first", "models": ["dear"]}, version=0)

    assert (answer.status_code, answer.json()["code"]) == (409, "routing_version_mismatch")
    assert answer.json()["version"] == 1


async def test_of_two_gateways_that_write_the_same_version_the_first_stands_and_stays_last(office: Office) -> None:
    rival = RoutingChanged(
        id=uuid4(),
        time=office.here.clock.now(),
        kind="alias",
        name="best",
        version=1,
        spec={"model": "cheap"},
        changed_by=uuid4(),
    )
    office.topic.before.append(rival)

    answer = await office.put("aliases/best", {"model": "dear"})

    assert answer.status_code == 409
    assert [record.version for record in office.topic.records] == [1, 1, 2]
    assert office.topic.records[-1].spec == {"model": "cheap"}
    for world in (office.here, office.elsewhere):
        world.routing.tick()
        assert world.choose("best").model == "cheap"


async def test_when_kafka_is_away_nothing_changes_and_the_answer_says_so(office: Office) -> None:
    office.topic.is_away = True
    away = await office.switch("providers/first/disable")
    office.topic.is_away, office.topic.readers = False, []
    lost = await office.switch("providers/first/disable")

    assert (away.status_code, lost.status_code) == (503, 503)
    assert hosts(office.here)[0] == "first.test"


async def test_an_override_that_the_file_has_left_behind_is_set_aside_and_named(office: Office) -> None:
    await office.put("aliases/best", {"model": "cheap"})
    await office.switch("routes/second/disable")
    office.here.write(CONFIG.replace('models = ["dear", "cheap"]', 'models = ["dear"]').replace(', "cheap"]', "]"))
    office.here.routing.tick()

    assert office.here.choose("best").model == "dear"
    assert {target.route for target in office.here.choose().targets} == {"first"}
    assert office.here.routing.detail() == "override alias:best: aliases.best.model: no route serves this model"


async def test_the_state_shows_what_is_off_cooling_and_broken(office: Office) -> None:
    target = office.here.choose().targets[0]
    office.here.routing.report(target, "rate_limited", 30)

    shown = (await office.operator.get("/gateway/operator/routing")).json()
    cooling = [one for one in shown["states"] if one["state"] == "cooling"]
    assert [(one["route"], one["credential_id"]) for one in cooling] == [("first", target.credential_id)]
    assert cooling[0]["until"].startswith("2026-11-21T12:00:30")
    assert (shown["problems"], shown["price_book_version"]) == ([], 1)
    assert "secret-" not in str(shown)


async def test_lists_show_references_and_never_secrets(office: Office) -> None:
    answer = await office.operator.get("/gateway/operator/providers")

    entries = answer.json()["entries"]
    assert [one["name"] for one in entries] == ["first", "second", "open"]
    assert entries[0]["spec"]["credentials"][0]["secret"] == "env:FAREGATE_ONE_API_KEY"
    assert "secret-one" not in answer.text


@pytest.mark.parametrize("path", ["providers", "providers/first", "routing", "route-sets"])
async def test_only_operators_see_and_change_the_routing(office: Office, path: str) -> None:
    assert (await office.customer.get(f"/gateway/operator/{path}")).status_code == 403
    body = {"spec": {"model": "cheap"}, "expected_version": 0, "reason": "a test"}
    assert (await office.customer.put("/gateway/operator/aliases/best", json=body)).status_code == 403
    assert (await office.customer.post("/api/v1/llm/providers/first/disable")).status_code == 403
    assert office.topic.records == []


async def test_the_older_paths_list_and_switch_providers(office: Office) -> None:
    assert (await office.operator.post("/api/v1/llm/providers/second/disable")).status_code == 200

    listed = (await office.customer.get("/api/v1/llm/providers")).json()["providers"]
    assert listed == [
        {"name": "first", "kind": "anthropic", "enabled": True, "models": ["cheap", "dear"]},
        {"name": "open", "kind": "openai", "enabled": True, "models": ["cheap", "open-small"]},
    ]
    assert (await office.operator.post("/api/v1/llm/providers/second/enable")).status_code == 200
    assert (await office.operator.post("/api/v1/llm/providers/nobody/enable")).status_code == 404
    assert len((await office.customer.get("/api/v1/llm/providers")).json()["providers"]) == 3


async def test_a_models_name_may_hold_slashes(office: Office) -> None:
    await office.put("models/vendor/model-1", {"display_name": "One"})
    answer = await office.switch("models/vendor/model-1/disable")

    assert (answer.status_code, answer.json()["name"], answer.json()["enabled"]) == (200, "vendor/model-1", False)


async def test_the_document_describes_each_kind_by_its_own_settings(office: Office) -> None:
    document = (await office.operator.get("/gateway/openapi.json")).json()

    put = document["paths"]["/gateway/operator/providers/{name}"]["put"]["requestBody"]["content"]["application/json"]
    assert put["schema"]["$ref"].endswith("/PutProvider")
    assert "credentials" in document["components"]["schemas"]["ProviderSpec"]["properties"]
