"""Settings from the environment: read once, frozen; what is missing is named."""

import sys
from typing import Literal, TypeVar

from pydantic import Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kit.clock import MovedClock, SandboxClock, SystemClock


class ServiceSettings(BaseSettings):
    """What every service needs. Subclasses set `env_prefix`; names shared by all carry an alias."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    environment: Literal["sandbox", "production"] = Field("production", validation_alias="FAREGATE_ENVIRONMENT")
    kafka_bootstrap: str = Field(validation_alias="FAREGATE_KAFKA_BOOTSTRAP")
    public_url: str = Field(validation_alias="FAREGATE_PUBLIC_URL")
    auth_url: str = Field(validation_alias="FAREGATE_AUTH_URL")
    log_level: str = Field("INFO", validation_alias="FAREGATE_LOG_LEVEL")
    clock_offset_s: float = Field(0.0, validation_alias="FAREGATE_CLOCK_OFFSET_S")
    clock_file: FilePath | None = Field(None, validation_alias="FAREGATE_CLOCK_FILE")
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    shutdown_grace_s: float = Field(8.0, gt=0)

    @model_validator(mode="after")
    def _only_the_sandbox_moves_time(self) -> "ServiceSettings":
        moved = {"FAREGATE_CLOCK_OFFSET_S": bool(self.clock_offset_s), "FAREGATE_CLOCK_FILE": bool(self.clock_file)}
        for variable, is_set in moved.items():
            if is_set and self.environment != "sandbox":
                raise ValueError(f"{variable} may be set in the sandbox only")
        if all(moved.values()):
            raise ValueError("FAREGATE_CLOCK_OFFSET_S and FAREGATE_CLOCK_FILE both move time: set one")
        return self

    def clock(self) -> MovedClock:
        """The machine's clock, or in a sandbox one that is moved."""
        return SandboxClock(self.clock_file) if self.clock_file else SystemClock(self.clock_offset_s)


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], *, service: str) -> S:
    """Read the settings, or end the process with one line per missing or wrong variable."""
    try:
        return settings()
    except ValidationError as error:
        prefix = str(settings.model_config.get("env_prefix", ""))
        for problem in error.errors(include_input=False, include_url=False):
            name = str(problem["loc"][0]) if problem["loc"] else "settings"
            variable = name if name.isupper() else f"{prefix}{name}".upper()
            reason = "is not set" if problem["type"] == "missing" else problem["msg"]
            sys.stderr.write(f"{service} refuses to start: {variable}: {reason}\n")
        raise SystemExit(2) from None
