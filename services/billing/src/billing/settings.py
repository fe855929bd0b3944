"""Billing's settings; a missing secret is named, a live key in the sandbox is refused."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from billing.domain.paths import configured_paths
from kit.settings import ServiceSettings

SHIPPED_CATALOGUE: Final = Path(__file__).with_name("catalogue.toml")
_KEY_PREFIXES: Final = ("sk_test_", "rk_test_", "sk_live_", "rk_live_")
_LIVE_PREFIXES: Final = ("sk_live_", "rk_live_")


class BillingSettings(ServiceSettings):
    """What billing reads from the environment."""

    model_config = SettingsConfigDict(env_prefix="FAREGATE_BILLING_")

    database_url: SecretStr
    stripe_secret_key: SecretStr = Field(validation_alias="FAREGATE_STRIPE_SECRET_KEY")
    stripe_webhook_secret: SecretStr = Field(validation_alias="FAREGATE_STRIPE_WEBHOOK_SECRET")
    stripe_api_url: str = Field(
        "https://api.stripe.com", validation_alias="FAREGATE_STRIPE_API_URL", pattern=r"^https?://[^/]+$"
    )
    stripe_poll_s: float = Field(0.0, ge=0)
    service_secret: SecretStr | None = Field(None, description="what auth knows billing by")
    ledger_url: str | None = Field(None, validation_alias="FAREGATE_LEDGER_URL", pattern=r"^https?://[^/]+$")
    open_paths: str = Field("", description="ways of paying that are open where no operator has said anything")
    catalogue: Path = SHIPPED_CATALOGUE
    price_book: Path | None = Field(None, description="prices that offers' margins are checked against when published")
    sell_at_a_loss: bool = Field(default=False, description="start with offers that can make a loss")

    @field_validator("open_paths")
    @classmethod
    def _known_paths(cls, value: str) -> str:
        configured_paths(value.split(","))
        return value

    @property
    def paths(self) -> frozenset[str]:
        """The ways of paying that the configuration opens."""
        return configured_paths(self.open_paths.split(","))

    @field_validator("stripe_secret_key")
    @classmethod
    def _a_key_that_fits_the_environment(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        key = value.get_secret_value()
        if not key.startswith(_KEY_PREFIXES):
            raise ValueError("must be a secret or restricted key of Stripe's (sk_… or rk_…)")
        if info.data.get("environment") == "sandbox" and key.startswith(_LIVE_PREFIXES):
            raise ValueError("is a live key; the sandbox takes test keys only")
        return value

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _no_empty_secret(cls, value: SecretStr) -> SecretStr:
        if not all(secret.strip() for secret in value.get_secret_value().split(",")):
            raise ValueError("holds an empty secret; write one, or several separated by commas")
        return value

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """All secrets that may sign, so that they can be rotated."""
        return tuple(secret.strip() for secret in self.stripe_webhook_secret.get_secret_value().split(","))
