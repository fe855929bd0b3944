"""Where Redis is, read out of its URL."""

import ssl
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote, urlsplit

DEFAULT_PORT: Final = 6379


class RedisMisconfiguredError(Exception):
    """Redis runs, but not in a way that money may be counted in; or its URL cannot be meant."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS."""

    host: str
    port: int
    db: int
    user: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Self:
        parts = urlsplit(url)
        path = parts.path.strip("/")
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname or not (path or "0").isdigit():
            raise RedisMisconfiguredError("The address of Redis is not redis://host:port/db, or rediss:// for TLS.")
        return cls(
            host=parts.hostname,
            port=parts.port or DEFAULT_PORT,
            db=int(path or 0),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=ssl.create_default_context() if parts.scheme == "rediss" else None,
        )

    def greeting(self) -> list[tuple[str | int, ...]]:
        """What a new connection says first."""
        said: list[tuple[str | int, ...]] = []
        if self.password is not None:
            said.append(("AUTH", self.user, self.password) if self.user else ("AUTH", self.password))
        if self.db:
            said.append(("SELECT", self.db))
        return said
