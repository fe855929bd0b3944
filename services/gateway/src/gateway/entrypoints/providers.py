"""What operators see and change of providers, models, aliases, routes and route sets; who serves, for customers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from gateway.entrypoints.provider_schemas import (
    EntryAnswer,
    EntryList,
    OffAnswer,
    PatchEntry,
    PutAlias,
    PutEntry,
    PutModel,
    PutProvider,
    PutRoute,
    PutRouteSet,
    RoutingAnswer,
    ServingProvider,
    ServingProviders,
    StateAnswer,
    SwitchEntry,
)
from gateway.routing.config import EntryKind
from gateway.routing.health import Health
from gateway.routing.operating import Change, EntryView, RoutingOperations
from gateway.routing.routing import Routing
from kit.clock import Clock
from kit.http import Problem
from kit.identity import CallerDep, OperatorDep

_NO_REASON: Final = "no reason was given"
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "No valid credential"},
    403: {"model": Problem, "description": "Not an operator"},
    404: {"model": Problem, "description": "There is no such entry"},
    409: {"model": Problem, "description": "The entry has another version by now"},
    422: {"model": Problem, "description": "The configuration would not be whole; `errors` names field and reason"},
    503: {"model": Problem, "description": "The change could not be published or did not come back in time"},
}
_SIGNED_IN: Final[dict[int | str, dict[str, Any]]] = {401: _PROBLEMS[401]}


@dataclass(frozen=True, slots=True)
class _Section:
    path: str
    kind: EntryKind
    body: type[PutEntry]
    noun: str


_SECTIONS: Final = (
    _Section("providers", "provider", PutProvider, "provider"),
    _Section("models", "model", PutModel, "model"),
    _Section("aliases", "alias", PutAlias, "alias"),
    _Section("routes", "route", PutRoute, "route"),
    _Section("route-sets", "route_set", PutRouteSet, "route set"),
)


def build_router(routing: Routing, operations: RoutingOperations, *, clock: Clock) -> APIRouter:
    """The operator API; needs `app.state.identity`."""
    router = APIRouter(prefix="/gateway/operator", tags=["operator"], responses=_PROBLEMS)

    @router.get("/routing", summary="What is on, off, wrong, cooling and broken", operation_id="get_routing")
    async def state(_: OperatorDep) -> RoutingAnswer:
        return _routing_answer(routing, clock=clock)

    for section in _SECTIONS:
        _add_reading(router, operations, section)
        _add_switching(router, operations, section)
        _add_writing(router, operations, section)
    return router


def _add_reading(router: APIRouter, operations: RoutingOperations, section: _Section) -> None:
    @router.get(
        f"/{section.path}", summary=f"Every {section.noun}", operation_id=f"list_{section.path.replace('-', '_')}"
    )
    async def listing(_: OperatorDep) -> EntryList:
        return EntryList(entries=[_entry_answer(view) for view in operations.list_entries(section.kind)])

    @router.get(f"/{section.path}/{{name:path}}", summary=f"One {section.noun}", operation_id=f"get_{section.kind}")
    async def one(name: str, _: OperatorDep) -> EntryAnswer:
        return _entry_answer(operations.get_entry(section.kind, name))


def _add_switching(router: APIRouter, operations: RoutingOperations, section: _Section) -> None:
    def add(verb: str, *, enabled: bool) -> None:
        @router.post(
            f"/{section.path}/{{name:path}}/{verb}",
            summary=f"{verb.capitalize()} a {section.noun}, on all gateways within five seconds",
            operation_id=f"{verb}_{section.kind}",
        )
        async def switch(name: str, body: SwitchEntry, caller: OperatorDep) -> EntryAnswer:
            change = Change(section.kind, name, caller.user_id, body.reason, body.expected_version)
            return _entry_answer(await operations.switch(change, enabled=enabled))

    add("enable", enabled=True)
    add("disable", enabled=False)


def _add_writing(router: APIRouter, operations: RoutingOperations, section: _Section) -> None:
    async def put(name: str, body: PutEntry, caller: OperatorDep) -> EntryAnswer:
        change = Change(section.kind, name, caller.user_id, body.reason, body.expected_version)
        return _entry_answer(await operations.put(change, body.spec.model_dump(mode="json", exclude_unset=True)))

    put.__annotations__["body"] = section.body  # each kind documents and checks its own
    router.put(f"/{section.path}/{{name:path}}", summary=f"Write a {section.noun}", operation_id=f"put_{section.kind}")(
        put
    )

    @router.patch(
        f"/{section.path}/{{name:path}}", summary=f"Change a {section.noun}", operation_id=f"patch_{section.kind}"
    )
    async def patch(name: str, body: PatchEntry, caller: OperatorDep) -> EntryAnswer:
        change = Change(section.kind, name, caller.user_id, body.reason, body.expected_version)
        return _entry_answer(await operations.patch(change, body.changes))

    @router.delete(
        f"/{section.path}/{{name:path}}",
        status_code=204,
        summary=f"Take back what was changed of a {section.noun}: the file's entry holds again",
        operation_id=f"delete_{section.kind}",
    )
    async def delete(
        name: str,
        caller: OperatorDep,
        expected_version: Annotated[int, Query(ge=0)],
        reason: Annotated[str, Query(min_length=1, max_length=500)],
    ) -> None:
        await operations.delete(Change(section.kind, name, caller.user_id, reason, expected_version))


def build_alias_router(routing: Routing, operations: RoutingOperations) -> APIRouter:
    """The paths that clients know from before; needs `app.state.identity`."""
    router = APIRouter(prefix="/api/v1/llm", tags=["clients that exist"])

    @router.get("/providers", summary="The providers that are on, and what they serve", responses=_SIGNED_IN)
    async def providers(_: CallerDep) -> ServingProviders:
        routing.refresh()
        return ServingProviders(providers=[_serving(name, routing) for name in routing.providers_on()])

    def add(verb: str, *, enabled: bool) -> None:
        @router.post(
            f"/providers/{{name}}/{verb}",
            summary=f"{verb.capitalize()} a provider, on all gateways within five seconds",
            operation_id=f"{verb}_provider_alias",
            responses=_PROBLEMS,
        )
        async def switch(name: str, caller: OperatorDep) -> EntryAnswer:
            change = Change("provider", name, caller.user_id, _NO_REASON)
            return _entry_answer(await operations.switch(change, enabled=enabled))

    add("enable", enabled=True)
    add("disable", enabled=False)
    return router


def _serving(name: str, routing: Routing) -> ServingProvider:
    return ServingProvider(name=name, kind=routing.config.providers[name].kind, models=routing.served_by(name))


def _entry_answer(view: EntryView) -> EntryAnswer:
    override = view.override
    return EntryAnswer(
        kind=view.kind,
        name=view.name,
        version=view.version,
        source="file" if override is None else "operator",
        enabled=view.spec.enabled,
        spec=view.spec.model_dump(mode="json"),
        changed_by=override.changed_by if override else None,
        changed_at=override.time if override else None,
        reason=override.reason if override else None,
    )


def _routing_answer(routing: Routing, *, clock: Clock) -> RoutingAnswer:
    routing.refresh()
    return RoutingAnswer(
        file=routing.file_name,
        price_book_version=routing.book_version,
        providers_on=routing.providers_on(),
        off=[OffAnswer(name=one.name, reason=one.reason) for one in routing.providers_off()],
        problems=[OffAnswer(name=one.field, reason=one.reason) for one in routing.problems],
        states=[_state_answer(health, clock=clock) for health in routing.healths()],
    )


def _state_answer(health: Health, *, clock: Clock) -> StateAnswer:
    wait_s = health.opens_at() - clock.monotonic()
    return StateAnswer(
        provider=health.provider,
        route=health.route,
        credential_id=health.credential_id,
        state=health.state,
        until=clock.now() + timedelta(seconds=wait_s) if health.state != "serving" and wait_s > 0 else None,
        failures_in_a_row=health.breaker.consecutive,
    )
