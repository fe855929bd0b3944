"""What the server needs to know before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "FAREGATE_SANDBOX_STRIPE_"
HOST = "127.0.0.1"


class SettingsError(Exception):
    """A setting is missing or cannot be right; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Secrets never show in a representation."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    webhook_url: str | None = None
    public_url: str | None = None
    """Where buyers reach the pay page, if not at the address that billing calls."""
    state_folder: Path | None = None
    retry_delays_s: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    delivery_timeout_s: float = 10

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, state_folder: Path | None) -> "Settings":
        return cls(
            secret_key=_secret(environment, "SECRET_KEY", prefix="sk_test_"),
            webhook_secret=_secret(environment, "WEBHOOK_SECRET", prefix="whsec_"),
            webhook_url=environment.get(f"{PREFIX}WEBHOOK_URL") or None,
            public_url=environment.get(f"{PREFIX}PUBLIC_URL") or None,
            state_folder=state_folder,
        )


def _secret(environment: Mapping[str, str], name: str, *, prefix: str) -> str:
    value = environment.get(f"{PREFIX}{name}", "")
    if not value:
        raise SettingsError(f"{PREFIX}{name} is not set; it must start with {prefix}")
    if not value.startswith(prefix) or len(value) == len(prefix):
        raise SettingsError(f"{PREFIX}{name} must start with {prefix}, and a live key is never accepted here")
    return value
