"""One database and one role for each service; a role can open only its own."""

import hashlib
import hmac
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from sandbox.stack.errors import StackError

SERVICES = ("auth", "billing", "ledger", "notifier")


def role_of(service: str) -> str:
    """The role of a service, which is also the name of its database."""
    if service not in SERVICES:
        raise StackError(f"{service} has no database; those that have: {', '.join(SERVICES)}")
    return f"faregate_{service}"


def password_of(service: str, *, admin_url: str) -> str:
    """Derived, so that two stacks that share one server agree without telling each other."""
    secret = urlsplit(admin_url).password or admin_url
    return hmac.new(secret.encode(), role_of(service).encode(), hashlib.sha256).hexdigest()[:32]


def database_url(service: str, *, admin_url: str, database: str | None = None) -> str:
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    role = role_of(service)
    password = password_of(service, admin_url=admin_url)
    return urlunsplit(("postgresql", f"{role}:{password}@{address}", f"/{database or role}", parts.query, ""))


async def create_all(admin_url: str, *, owns_server: bool) -> None:
    """Make what is missing; `owns_server` also closes the server's own databases to the roles."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        for service in SERVICES:
            await _create_role(connection, service, admin_url=admin_url)
            await create_database(connection, role_of(service), service=service)
        if owns_server:
            for database in ("postgres", "template1"):
                await connection.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    finally:
        await connection.close()


async def create_database(connection: asyncpg.Connection, name: str, *, service: str) -> None:
    """An empty database that only the service's role can open."""
    if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{role_of(service)}"')
    await connection.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')


async def drop_database(connection: asyncpg.Connection, name: str) -> None:
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _create_role(connection: asyncpg.Connection, service: str, *, admin_url: str) -> None:
    role = role_of(service)
    password = password_of(service, admin_url=admin_url)
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "CREATE" if known is None else "ALTER"
    await connection.execute(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{password}'")
