"""One database and one role for each service; a role can open only its own."""

import hashlib
import hmac
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from sandbox.stack.errors import StackError

SERVICES = ("auth", "billing", "ledger", "notifier")
WITH_WRITER = ("ledger",)
"""Services that run as a role of their own, which owns nothing: the books are only added to."""


def role_of(service: str) -> str:
    """The role of a service, which is also the name of its database."""
    if service not in SERVICES:
        raise StackError(f"{service} has no database; those that have: {', '.join(SERVICES)}")
    return f"faregate_{service}"


def running_role_of(service: str) -> str:
    """The role that a service connects as; the one that owns its tables where it has no other."""
    return f"{role_of(service)}_writer" if service in WITH_WRITER else role_of(service)


def password_of(role: str, *, admin_url: str) -> str:
    """Derived, so that two stacks that share one server agree without telling each other."""
    secret = urlsplit(admin_url).password or admin_url
    return hmac.new(secret.encode(), role.encode(), hashlib.sha256).hexdigest()[:32]


def database_url(service: str, *, admin_url: str, database: str | None = None, is_running: bool = False) -> str:
    """As the owner of the service's tables, or as the service `is_running`."""
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    role = running_role_of(service) if is_running else role_of(service)
    password = password_of(role, admin_url=admin_url)
    path = f"/{database or role_of(service)}"
    return urlunsplit(("postgresql", f"{role}:{password}@{address}", path, parts.query, ""))


async def create_roles(connection: asyncpg.Connection, *, admin_url: str) -> None:
    """Those that are missing, with the passwords that they have in this stack."""
    for service in SERVICES:
        for role in sorted({role_of(service), running_role_of(service)}):
            await _create_role(connection, role, admin_url=admin_url)


async def create_all(admin_url: str, *, owns_server: bool) -> None:
    """Make what is missing; `owns_server` also closes the server's own databases to the roles."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        await create_roles(connection, admin_url=admin_url)
        for service in SERVICES:
            await create_database(connection, role_of(service), service=service)
        if owns_server:
            for database in ("postgres", "template1"):
                await connection.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    finally:
        await connection.close()


async def create_database(connection: asyncpg.Connection, name: str, *, service: str, like: str | None = None) -> None:
    """An empty database that only the service's role can open, or a copy of one that nobody is connected to.

    Copied file by file: PostgreSQL's other way, block by block through its log, takes more than twice as long.
    """
    if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
        copied = "" if like is None else f' TEMPLATE "{like}" STRATEGY FILE_COPY'
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{role_of(service)}"{copied}')
    await connection.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    if service in WITH_WRITER:
        await connection.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{name}" TO "{running_role_of(service)}"')


async def drop_database(connection: asyncpg.Connection, name: str) -> None:
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _create_role(connection: asyncpg.Connection, role: str, *, admin_url: str) -> None:
    password = password_of(role, admin_url=admin_url)
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "CREATE" if known is None else "ALTER"
    await connection.execute(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{password}'")
