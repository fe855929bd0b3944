import os
import socket
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings

ANTHROPIC_URL: Final = "https://api.anthropic.com"


class Settings(ServiceSettings):
    """`FAREGATE_ANTHROPIC_API_KEY` has no default, so that nothing runs on a stand-in unasked."""

    model_config = SettingsConfigDict(env_prefix="FAREGATE_GATEWAY_")

    port: int = Field(8080, ge=1, le=65535)
    service_secret: SecretStr
    redis_url: SecretStr = Field(validation_alias="FAREGATE_REDIS_URL")
    ledger_url: str = Field(validation_alias="FAREGATE_LEDGER_URL")
    billing_url: str = Field(validation_alias="FAREGATE_BILLING_URL")
    notifier_url: str = Field(validation_alias="FAREGATE_NOTIFIER_URL")
    anthropic_api_key: SecretStr = Field(validation_alias="FAREGATE_ANTHROPIC_API_KEY", min_length=1)
    anthropic_base_url: str = Field(ANTHROPIC_URL, validation_alias="FAREGATE_ANTHROPIC_BASE_URL")
    instance: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}", max_length=100)
    upgrade_url: str = ""
    hold_patience_s: float = Field(900.0, gt=0)
    drain_s: float = Field(120.0, gt=0)
    shutdown_grace_s: float = Field(5.0, gt=0)

    @property
    def upgrade_address(self) -> str:
        return self.upgrade_url or f"{self.public_url}/billing/offers"

    @property
    def provider_is_real(self) -> bool:
        return urlsplit(self.anthropic_base_url).hostname == urlsplit(ANTHROPIC_URL).hostname
