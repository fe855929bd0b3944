import os
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.addresses import networks_of
from gateway.dataplane.front import FrontLimits
from gateway.serving import ServingLimits
from gateway.usage.durability import DurabilitySettings
from gateway.usage.folders import default_state
from kit.settings import ServiceSettings

_MODEL_BODIES: Final = frozenset({b"/v1/quote"})
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
    revocation_patience_s: float = Field(60.0, gt=0)
    anonymous_per_minute: int | None = Field(None, ge=1, description="to auth without a credential, by address")
    drain_s: float = Field(120.0, gt=0)
    ping_after_s: float = Field(10.0, gt=0)
    state_dir: Path = Field(default_factory=default_state, description="journals and spools, on a disk that stays")
    spool_bytes: int = Field(1 << 30, ge=1 << 20, description="usage that may wait for Kafka before calls are refused")
    spool_age_s: float = Field(7 * 86_400.0, gt=0, description="Kafka must keep usage for longer than this")
    journal_kept_s: float = Field(48 * 3600.0, ge=60.0)
    usage_linger_s: float = Field(0.003, ge=0, le=1)
    usage_bound_s: float = Field(2.0, gt=0, description="after this an event without acknowledgement is spooled")
    routing: Path | None = None
    upstream_ca_file: Path | None = None
    shutdown_grace_s: float = Field(5.0, gt=0)
    workers: int = Field(1, ge=1, le=64)
    metrics_address: str = Field("", pattern=r"^$|^\S+:[0-9]{1,5}$", description="away from the public port")
    trusted_proxies: str = Field("", description="networks whose X-Forwarded-For counts, with commas between")
    cors_origins: str = Field("", description="origins of web pages that may call, with commas between")
    connections: int = Field(8192, ge=1)
    idle_s: float = Field(75.0, gt=0)
    head_s: float = Field(10.0, gt=0)
    body_silence_s: float = Field(30.0, gt=0)
    body_bytes: int = Field(32 << 20, ge=1)
    bodies_bytes: int = Field(512 << 20, ge=1, description="of all requests together that one process holds")
    stall_s: float = Field(60.0, gt=0, description="a client that takes no byte for so long is gone")

    @field_validator("trusted_proxies")
    @classmethod
    def _named_networks(cls, value: str) -> str:
        networks_of(value.split(","))
        return value

    def serving(self) -> ServingLimits:
        return ServingLimits(
            host=self.host,
            port=self.port,
            instance=self.instance,
            workers=self.workers,
            shutdown_grace_s=self.shutdown_grace_s,
            metrics_address=self.metrics_address,
            trusted_proxies=_words(self.trusted_proxies),
            cors_origins=_words(self.cors_origins),
            front=FrontLimits(
                head_s=self.head_s,
                idle_s=self.idle_s,
                body_silence_s=self.body_silence_s,
                stall_s=self.stall_s,
                model_body_bytes=self.body_bytes,
                model_bodies=_MODEL_BODIES,
                bodies_bytes=self.bodies_bytes,
                connections=self.connections,
            ),
        )

    def durability(self) -> DurabilitySettings:
        return DurabilitySettings(
            state_dir=self.state_dir,
            spool_bytes=self.spool_bytes,
            spool_age_s=self.spool_age_s,
            journal_kept_s=self.journal_kept_s,
            linger_s=self.usage_linger_s,
            bound_s=self.usage_bound_s,
        )

    @property
    def upgrade_address(self) -> str:
        return self.upgrade_url or f"{self.public_url}/billing/offers"

    @property
    def anonymous_requests(self) -> int:
        return self.anonymous_per_minute or (300 if self.environment == "production" else 10_000)

    def provider_env(self) -> dict[str, str]:
        """What the routing configuration refers to by these names, whoever set it here."""
        return {
            "FAREGATE_ANTHROPIC_API_KEY": self.anthropic_api_key.get_secret_value(),
            "FAREGATE_ANTHROPIC_BASE_URL": self.anthropic_base_url,
        }

    @property
    def provider_is_real(self) -> bool:
        return urlsplit(self.anthropic_base_url).hostname == urlsplit(ANTHROPIC_URL).hostname


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
