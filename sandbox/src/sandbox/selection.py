"""Which outside parties a sandbox talks to: its stand-ins, or the real ones when keys say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sandbox.stack import StackError

ANTHROPIC_KEY = "FAREGATE_ANTHROPIC_API_KEY"
ANTHROPIC_URL = "FAREGATE_ANTHROPIC_BASE_URL"
STRIPE_KEY = "FAREGATE_STRIPE_SECRET_KEY"
STRIPE_WEBHOOK_SECRET = "FAREGATE_STRIPE_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
REAL_PARTIES = (ANTHROPIC_KEY, ANTHROPIC_URL, STRIPE_KEY, STRIPE_WEBHOOK_SECRET)
VENDOR_PREFIXES = ("ANTHROPIC_", "STRIPE_")


@dataclass(frozen=True, slots=True, repr=False)
class Selection:
    """None means the stand-in."""

    anthropic_key: str | None = None
    anthropic_url: str | None = None
    stripe_key: str | None = None
    stripe_webhook_secret: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """What the user's variables select; a live Stripe key is refused."""
        stripe_key = env.get(STRIPE_KEY) or None
        if stripe_key is not None:
            _check_test_mode(stripe_key)
        return cls(
            anthropic_key=env.get(ANTHROPIC_KEY) or None,
            anthropic_url=env.get(ANTHROPIC_URL) or None,
            stripe_key=stripe_key,
            stripe_webhook_secret=env.get(STRIPE_WEBHOOK_SECRET) or None,
        )

    @property
    def has_provider_stand_in(self) -> bool:
        return self.anthropic_key is None and self.anthropic_url is None

    @property
    def has_stripe_stand_in(self) -> bool:
        return self.stripe_key is None

    @property
    def has_only_stand_ins(self) -> bool:
        return self.has_provider_stand_in and self.has_stripe_stand_in

    def described(self) -> dict[str, str]:
        """One line for each outside party; no secrets."""
        if self.has_provider_stand_in:
            provider = "stand-in (set FAREGATE_ANTHROPIC_API_KEY to use Anthropic)"
        elif self.anthropic_key is None:
            provider = f"{self.anthropic_url} with the sandbox's credential"
        else:
            provider = f"{self.anthropic_url or 'Anthropic'}: calls cost real money"
        stripe = "stand-in (set FAREGATE_STRIPE_SECRET_KEY to a test key to use Stripe)"
        if not self.has_stripe_stand_in:
            stripe = "Stripe in test mode; its events are polled every 5 s"
        return {"model provider": provider, "payments": stripe, "mail": "stand-in mailbox; nothing is sent"}


def without_real_keys(env: Mapping[str, str]) -> dict[str, str]:
    """The environment less everything that would reach an outside party."""
    return {name: value for name, value in env.items() if name not in REAL_PARTIES and not _is_vendors(name)}


def _is_vendors(name: str) -> bool:
    return name.startswith(VENDOR_PREFIXES)


def _check_test_mode(key: str) -> None:
    if key.startswith(("sk_live_", "rk_live_")):
        raise StackError(f"{STRIPE_KEY} is a live key: the sandbox takes test keys only, so that no real money moves")
    if not key.startswith(("sk_test_", "rk_test_")):
        raise StackError(f"{STRIPE_KEY} is not a Stripe test key: it must begin with sk_test_ or rk_test_")
