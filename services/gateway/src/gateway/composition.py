"""Which route is answered by what: the model API's table, and the routers of everything else."""

from fastapi import APIRouter

from gateway.admission.address_limits import AddressLimits
from gateway.dataplane.call_parts import CallParts
from gateway.dataplane.free import AccountRate, FreeRoutes
from gateway.dataplane.front import ModelHandler
from gateway.dataplane.paid import PaidParts, PaidRoute
from gateway.dataplane.table import Route, model_routes
from gateway.entrypoints import forward, internal, origin, own, providers
from gateway.identity.flood import Allowance, Buckets
from gateway.process import Gateway
from gateway.routing.operating import RoutingOperations
from gateway.settings import Settings
from gateway.surfaces.aliases.claude_stream import ClaudeStreamSurface
from gateway.surfaces.aliases.generate import GenerateSurface
from gateway.surfaces.aliases.invoke import InvokeSurface, TryOutSurface
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.surfaces.openai.chat import ChatSurface
from gateway.surfaces.openai.embeddings import EmbeddingsSurface
from gateway.surfaces.openai.responses import ResponsesSurface
from gateway.surfaces.types import Surface
from gateway.usage.client import ClientParts
from gateway.usage.event import CallerParts


def surfaces() -> list[Surface]:
    """Every way of asking a provider for something that is paid for."""
    estimator = Estimator()
    return [
        MessagesSurface(estimator),
        ChatSurface(estimator),
        ResponsesSurface(estimator),
        EmbeddingsSurface(estimator),
        ClaudeStreamSurface(estimator),
        InvokeSurface(estimator),
        TryOutSurface(estimator),
        GenerateSurface(estimator),
    ]


def model_table(gateway: Gateway, served: list[Surface]) -> dict[Route, ModelHandler]:
    """Every route of the model API, and who answers it."""
    parts = _paid_parts(gateway)
    free = FreeRoutes(
        gateway.credentials,
        gateway.admission,
        gateway.routing,
        gateway.upstream,
        AccountRate(clock=gateway.clock),
        gateway.errands,
    )
    return model_routes({("POST", one.name): PaidRoute(parts, one) for one in served}, free.table())


def routers(gateway: Gateway, served: list[Surface], *, services: dict[str, str]) -> list[APIRouter]:
    """Everything that is not the model API; what is forwarded comes last."""
    settings = gateway.settings
    operating = RoutingOperations(gateway.routing, publish=gateway.publish, clock=gateway.clock)
    standing = origin.Standing(settings.environment, settings.public_url, settings.provider_is_real)
    return [
        origin.build_router(standing),
        internal.build_router(gateway.durability),
        providers.build_router(gateway.routing, operating, clock=gateway.clock),
        providers.build_alias_router(gateway.routing, operating),
        *own.build_routers(_own_parts(gateway, served)),
        forward.build_router(_forwarder(gateway, settings), services=services),
    ]


def _forwarder(gateway: Gateway, settings: Settings) -> forward.Forwarder:
    per_minute = settings.anonymous_requests
    anonymous = Buckets(Allowance(burst=per_minute, per_s=per_minute / 60), clock=gateway.clock)
    shared = AddressLimits(gateway.redis, per_minute=per_minute, most=per_minute)
    return forward.Forwarder(gateway.services, gateway.credentials, anonymous=anonymous, shared=shared.check)


def _own_parts(gateway: Gateway, served: list[Surface]) -> own.OwnParts:
    settings = gateway.settings
    return own.OwnParts(
        admission=gateway.admission,
        redis=gateway.redis,
        journal=gateway.durability.journal,
        publisher=gateway.publisher,
        refusals=gateway.durability.refusals,
        prices=gateway.prices,
        routing=gateway.routing,
        surfaces=served,
        credentials=gateway.credentials,
        services=gateway.services,
        auth_url=settings.auth_url,
        ledger_url=settings.ledger_url,
        upgrade_url=settings.upgrade_address,
        secret=settings.service_secret.get_secret_value().encode(),
        clock=gateway.clock,
        ready=gateway.takes_calls,
    )


def _paid_parts(gateway: Gateway) -> PaidParts:
    settings = gateway.settings
    call = CallParts(
        upstream=gateway.upstream,
        routing=gateway.routing,
        admission=gateway.admission,
        journal=gateway.durability.journal,
        publisher=gateway.publisher,
        calls=gateway.calls,
        clock=gateway.clock,
        limits=LimitHeaders(),
        drain_s=settings.drain_s,
        ping_after_s=settings.ping_after_s,
    )
    return PaidParts(
        call=call,
        credentials=gateway.credentials,
        prices=gateway.prices,
        admission=gateway.admission,
        routing=gateway.routing,
        refusals=gateway.durability.refusals,
        errands=gateway.errands,
        callers=CallerParts(),
        clients=ClientParts(),
        upgrade_url=settings.upgrade_address,
    )
