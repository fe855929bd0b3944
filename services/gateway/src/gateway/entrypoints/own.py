"""Our own routes beside the provider's, put together: operations, quote, limits, and what older clients read."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter

from gateway.adapters.services import Services
from gateway.admission.caller import Admission
from gateway.admission.connection import RedisConnection
from gateway.catalog.prices import PriceBooks
from gateway.entrypoints import aliases, first_screen, limits, operations, quote
from gateway.entrypoints.alias_reading import AliasReading
from gateway.entrypoints.first_screen import Screens
from gateway.entrypoints.own_api import OwnApi
from gateway.identity.credentials import Credentials
from gateway.operations.admitting import OperationAdmission
from gateway.operations.desk import OperationsDesk
from gateway.operations.ending import OperationEnding
from gateway.operations.memory import OperationMemory
from gateway.operations.seal import HoldSeal
from gateway.routing.routing import Routing
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.surfaces.types import Surface
from gateway.usage.journal import Journal
from gateway.usage.publisher import UsagePublisher
from gateway.usage.refusals import RefusalCounts
from kit.clock import MovedClock
from kit.health import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnParts:
    """What the routes are made of; `secret` is the same in all gateways, since it seals the ids of holds."""

    admission: Admission
    redis: RedisConnection
    journal: Journal
    publisher: UsagePublisher
    refusals: RefusalCounts
    prices: PriceBooks
    routing: Routing
    surfaces: Iterable[Surface]
    credentials: Credentials
    services: Services
    auth_url: str
    ledger_url: str
    upgrade_url: str
    secret: bytes
    clock: MovedClock
    ready: Check


def build_routers(parts: OwnParts) -> list[APIRouter]:
    own = OwnApi(parts.credentials, parts.refusals, LimitHeaders(), parts.clock, parts.upgrade_url)
    surfaces = {surface.name: surface for surface in parts.surfaces}
    quoting = quote.Quoting(parts.admission, parts.routing, parts.prices, surfaces, parts.clock)
    reading = AliasReading(parts.services, parts.ledger_url, parts.clock)
    return [
        operations.build_router(_desk(parts), own),
        quote.build_router(quoting, own),
        limits.build_router(parts.admission, own),
        aliases.build_router(reading, own, ready=parts.ready),
        first_screen.build_router(
            Screens(parts.services, parts.auth_url, parts.ledger_url, reading), parts.credentials
        ),
    ]


def _desk(parts: OwnParts) -> OperationsDesk:
    memory = OperationMemory(parts.redis, clock=parts.clock)
    admission = OperationAdmission(
        parts.admission, parts.journal, parts.publisher, parts.prices, parts.clock, parts.publisher.instance
    )
    ending = OperationEnding(memory, parts.admission, parts.publisher, parts.prices, parts.clock)
    return OperationsDesk(admission, ending, memory, HoldSeal(parts.secret), parts.clock)
