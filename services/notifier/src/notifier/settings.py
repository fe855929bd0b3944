"""The notifier's settings; only the composition root reads them."""

from email.utils import parseaddr
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, DirectoryPath, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings


def _mail_address(value: str) -> str:
    address = parseaddr(value)[1]
    if "@" not in address.strip("@"):
        raise ValueError("is not a mail address")
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]
KEPT_FOR_REPLAY_DAYS = 91
"""Endpoints may ask for what they missed in the last 90 days."""
OrUnset = BeforeValidator(lambda value: value or None)
"""An empty variable is an unset one."""


class NotifierSettings(ServiceSettings):
    """`smtp_starttls` unset takes TLS when the server offers it; with a user name it must.

    `secret_key` unset: the service secret serves in its place; when that changes, old links, hashes and seals end.
    """

    model_config = SettingsConfigDict(env_prefix="FAREGATE_NOTIFIER_", hide_input_in_errors=True)

    port: int = Field(8084, ge=1, le=65535)
    billing_url: Annotated[str | None, OrUnset] = Field(None, validation_alias="FAREGATE_BILLING_URL")
    database_url: SecretStr
    service_secret: SecretStr
    smtp_host: str
    smtp_port: int = Field(ge=1, le=65535)
    smtp_username: Annotated[str | None, OrUnset] = None
    smtp_password: Annotated[SecretStr | None, OrUnset] = None
    smtp_starttls: Annotated[bool | None, OrUnset] = None
    smtp_timeout_s: float = Field(10.0, gt=0)
    mail_from: MailAddress
    product_name: str = Field("Faregate", min_length=1, max_length=60)
    templates: Annotated[DirectoryPath | None, OrUnset] = None
    operator_mail: Annotated[MailAddress | None, OrUnset] = None
    secret_key: Annotated[SecretStr | None, OrUnset] = None
    bounce_token: Annotated[SecretStr | None, OrUnset] = None
    endpoints_may_be_local: bool = False
    endpoint_slots: int = Field(16, ge=1)
    mails_per_hour: int = Field(20, ge=1)
    consumer_group: str = "notifier"
    delivery_slots: int = Field(8, ge=1)
    lease_s: float = Field(60.0, gt=0)
    give_up_after_s: float = Field(86_400.0, gt=0)
    keep_days: int = Field(400, ge=KEPT_FOR_REPLAY_DAYS)

    def secret(self) -> str:
        """What the keys for links, hashes of addresses and sealed endpoints are derived from."""
        return (self.secret_key or self.service_secret).get_secret_value()

    @model_validator(mode="after")
    def _what_is_safe_in_the_sandbox_only(self) -> "NotifierSettings":
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("FAREGATE_NOTIFIER_SMTP_USERNAME and FAREGATE_NOTIFIER_SMTP_PASSWORD go together")
        if self.endpoints_may_be_local and self.environment == "production":
            raise ValueError("FAREGATE_NOTIFIER_ENDPOINTS_MAY_BE_LOCAL may be set in the sandbox only")
        if self.smtp_username and self.smtp_starttls is False and self.environment == "production":
            raise ValueError("FAREGATE_NOTIFIER_SMTP_STARTTLS may not be off when there is a password")
        return self
