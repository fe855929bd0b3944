"""Composition root: builds auth's parts and its HTTP app."""

import asyncio
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from auth.adapters.issuer_keys import trusted_issuers
from auth.adapters.passkeys import RelyingParty
from auth.adapters.passwords import Passwords
from auth.adapters.providers import OutsideProvider
from auth.adapters.sealing import Sealer
from auth.adapters.siteverify import SiteVerify
from auth.adapters.templates import Templates
from auth.domain.audit import SYSTEM
from auth.domain.clients import Client
from auth.domain.limits import Bucket
from auth.entrypoints import (
    accounts,
    aliases,
    api_keys,
    audit,
    identities,
    impersonation,
    in_browser,
    internal,
    jwks,
    leaks,
    me,
    members,
    older_clients,
    operators,
    own_user,
    pages,
    passkeys,
    passwords,
    projects,
    revoking,
    second_factors,
    service_accounts,
    shares,
    sign_in,
    sign_up,
    token,
)
from auth.entrypoints.browser import Browser
from auth.entrypoints.events import GROUP, build_consumer
from auth.entrypoints.oauth import clients, consents, device, discovery, introspect
from auth.entrypoints.outside import magic_links, providers
from auth.entrypoints.pages.consent import authorize_router
from auth.entrypoints.parts import OneAtATime, OtherWay, Parts
from auth.service import api_keys as api_keys_service
from auth.service import cleaning, keys, leaving
from auth.service.guarding import SignUpGuard
from auth.service.keys import KeyRing
from auth.service.limits import Limits
from auth.service.oauth.clients import Programs
from auth.service.passkeys import Passkeys
from auth.service.second_factors import SecondFactors
from auth.settings import AuthSettings
from kit import logging
from kit.clock import Clock
from kit.database import Database
from kit.service import Service

log = logging.get(__name__)

CLEAN_S: Final = 600.0
ROTATE_S: Final = 300.0
DUE_S: Final = 3.0
# What is asked most comes first: routes are tried one after the other.
ROUTERS: Final = (
    sign_in.router,
    me.router,
    older_clients.router,
    aliases.router,
    in_browser.router,
    discovery.router,
    authorize_router,
    token.router,
    device.router,
    introspect.router,
    sign_up.router,
    revoking.router,
    consents.router,
    clients.router,
    passwords.router,
    own_user.router,
    second_factors.router,
    passkeys.router,
    identities.router,
    magic_links.router,
    providers.router,
    providers.linking,
    accounts.router,
    members.router,
    projects.router,
    shares.router,
    service_accounts.router,
    api_keys.router,
    leaks.router,
    audit.router,
    operators.router,
    impersonation.router,
    jwks.router,
    pages.router,
    internal.router,
)


def create_app(settings: AuthSettings, *, group: str = GROUP, passwords: Passwords | None = None) -> FastAPI:
    """Auth as an ASGI app; its own keys verify the tokens it is shown. `group` is its consumer group."""
    url = settings.database_url.get_secret_value()
    sealer = Sealer(settings.encryption_key)
    # Connections of its own: a request that holds one of ours must never wait for a second one.
    key_database = Database(url, source="auth", pool_size=1)
    ring = KeyRing(key_database, sealer, issuer=settings.public_url, clock=settings.clock())
    service = Service("auth", settings, database_url=url, consumer=build_consumer(group), keys=ring)
    parts = _parts(service, settings, sealer, ring, passwords=passwords or Passwords())
    service.ready["signing-keys"] = ring.ready
    service.background["cleaning"] = lambda: _clean(service.database, service.clock)
    key_age = timedelta(days=settings.signing_key_days)
    service.background["rotating"] = lambda: _rotate(service.database, sealer, service.clock, after=key_age)
    service.background["due"] = lambda: _due(service.database, service.clock)
    service.background["resources"] = lambda: _hold(parts.passwords, key_database)
    return service.app(title="Faregate auth", routers=ROUTERS, state={"parts": parts})


def _parts(service: Service, settings: AuthSettings, sealer: Sealer, ring: KeyRing, *, passwords: Passwords) -> Parts:
    limits = Limits(sealer.derived("limits"), Bucket(settings.sign_ups, 3600.0))
    return Parts(
        database=service.database,
        clock=service.clock,
        revocations=service.revocations,
        passwords=passwords,
        ring=ring,
        limits=limits,
        second_factors=SecondFactors(sealer, sealer.derived("recovery-codes"), limits),
        passkeys=Passkeys(RelyingParty(settings.public_url, more_origins=settings.passkey_origins)),
        guard=_guard(service, settings, sealer),
        sign_up_url=None if settings.sign_up_url is None else str(settings.sign_up_url),
        providers={
            one.name: OutsideProvider(one, http=service.http, clock=service.clock) for one in settings.providers
        },
        trusted_issuers=trusted_issuers(settings.trusted_issuers, http=service.http, clock=service.clock),
        operator_second_factor=settings.operators_need_second_factor,
        refresh_keyed=sealer.derived("refresh-tokens"),
        refreshing=OneAtATime(),
        secret_hashes=settings.service_secret_hashes,
        public_url=settings.public_url.rstrip("/"),
        activation=settings.activation,
        deletion_grace=timedelta(days=settings.deletion_grace_days),
        reserved_names=settings.environment == "sandbox",
        trusted_proxies=[ip_network(one) for one in settings.trusted_proxies],
        programs=Programs(_configured(settings, now=service.clock.now())),
        session_keys=settings.session_keys,
        browser=Browser.at(
            settings.public_url, sandbox=settings.environment == "sandbox", keyed=sealer.derived("browsers")
        ),
        templates=Templates(),
        pending=sealer,
        other_ways=_other_ways(settings),
    )


def _configured(settings: AuthSettings, *, now: datetime) -> dict[str, Client]:
    return {
        one.id: Client(one.id, one.name, one.redirect_uris, one.scopes, None, "active", now)
        for one in settings.programs
    }


def _other_ways(settings: AuthSettings) -> tuple[OtherWay, ...]:
    return (
        *(OtherWay(f"/auth/oauth/{one.name}", f"Continue with {one.title}") for one in settings.providers),
        OtherWay("/auth/pages/passkey", "Use a passkey"),
        OtherWay("/auth/pages/magic-links", "Get a link by mail"),
    )


def _guard(service: Service, settings: AuthSettings, sealer: Sealer) -> SignUpGuard:
    captcha = None
    if settings.sign_up_proof == "siteverify":
        assert settings.captcha_verify_url is not None
        assert settings.captcha_secret is not None
        secret = settings.captcha_secret.get_secret_value()
        captcha = SiteVerify(settings.captcha_verify_url, secret=secret, http=service.http)
    return SignUpGuard(
        kind=settings.sign_up_proof,
        bits=settings.proof_of_work_bits,
        refuse_disposable=settings.disposable_refused,
        captcha=captcha,
        keyed=sealer.derived("sign-up-work"),
    )


async def _rotate(database: Database, sealer: Sealer, clock: Clock, *, after: timedelta) -> None:
    """Signing keys by schedule, whichever process comes first."""
    while True:
        await asyncio.sleep(ROTATE_S)
        try:
            async with database.transaction() as session:
                key = await keys.rotate_if_due(session, sealer, after=after, now=clock.now())
        except (SQLAlchemyError, OSError) as error:
            log.warning("auth.rotation_delayed", reason=type(error).__name__)
        else:
            if key is not None:
                log.info("auth.signing_key_published", key_id=key.id)


async def _due(database: Database, clock: Clock) -> None:
    """What comes true by time alone: keys whose overlap is over, users whose grace period is."""
    while True:
        await asyncio.sleep(DUE_S)
        try:
            async with database.transaction() as session:
                await api_keys_service.revoke_replaced(session, actor=SYSTEM, clock=clock)
            more = True
            while more:
                async with database.transaction() as session:
                    more = await leaving.erase_next(session, clock=clock)
        except (SQLAlchemyError, OSError) as error:
            log.warning("auth.due_work_delayed", reason=type(error).__name__)


async def _clean(database: Database, clock: Clock) -> None:
    while True:
        await asyncio.sleep(CLEAN_S)
        try:
            async with database.transaction() as session:
                await cleaning.clean(session, now=clock.now())
        except (SQLAlchemyError, OSError) as error:
            log.warning("auth.cleaning_delayed", reason=type(error).__name__)


async def _hold(passwords: Passwords, key_database: Database) -> None:
    """Warm the pool of threads, and close with the app what `Service` does not know."""
    try:
        await passwords.warm()
        await asyncio.Event().wait()
    finally:
        passwords.close()
        await key_database.close()
