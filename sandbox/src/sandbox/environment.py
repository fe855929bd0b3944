"""The table of environment variables: what each process of the sandbox is told, and nothing more."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.addresses import Addresses
from sandbox.credentials import Credentials
from sandbox.price_book import book_in
from sandbox.selection import STRIPE_WEBHOOK_SECRET, Selection, without_real_keys
from sandbox.stack import Stack
from sandbox.stack.ports import HOST

SERVICES = ("auth", "billing", "ledger", "notifier", "gateway")
PREFIX = "FAREGATE_"
CLOCK_FILE = "FAREGATE_CLOCK_FILE"
USERS_COMMON = ("FAREGATE_LOG_LEVEL", "FAREGATE_CLOCK_OFFSET_S", CLOCK_FILE)
STRIPE_POLL_S = 5
EXAMPLE_PROGRAMS = (
    {"id": "example-editor", "name": "Example editor"},
    {"id": "example-desktop", "name": "Example desktop program", "redirect_uris": ["http://127.0.0.1/callback"]},
)
OPEN_PATHS = "checkout,top_up,auto_top_up,overage,pay_per_use"


@dataclass(frozen=True, slots=True)
class Environments:
    """Makes the environment of each process.

    A user's own `FAREGATE_<SERVICE>_…` variables reach that service, except where they would break the wiring.
    """

    user: Mapping[str, str]
    addresses: Addresses
    credentials: Credentials
    selection: Selection
    stack: Stack

    @property
    def public_url(self) -> str:
        return self.user.get("FAREGATE_PUBLIC_URL") or self.addresses.url("gateway")

    def of_service(self, name: str) -> dict[str, str]:
        own = {key: value for key, value in self.user.items() if key.startswith(f"{PREFIX}{name.upper()}_")}
        return {**self._inherited(), **self._defaults(name), **own, **self._common(name), **self._fixed(name)}

    def of_migration(self, name: str) -> dict[str, str]:
        """The same, and where the owner of the service's tables is let in: the running service never sees it."""
        return {**self.of_service(name), f"{PREFIX}{name.upper()}_MIGRATION_URL": self.stack.database_url(name)}

    def of_stand_in(self, name: str) -> dict[str, str]:
        """The environment of provider, stripe or mailbox."""
        secrets = {
            "provider": {"FAREGATE_SANDBOX_PROVIDER_API_KEY": self.credentials.provider_api_key},
            "stripe": {
                "FAREGATE_SANDBOX_STRIPE_SECRET_KEY": self.credentials.stripe_secret_key,
                "FAREGATE_SANDBOX_STRIPE_WEBHOOK_SECRET": self.credentials.stripe_webhook_secret,
                "FAREGATE_SANDBOX_STRIPE_WEBHOOK_URL": f"{self.addresses.url('gateway')}/billing/webhooks/stripe",
            },
            "mailbox": {},
        }
        moved = {CLOCK_FILE: self.user[CLOCK_FILE]} if CLOCK_FILE in self.user else {}
        return {**self._inherited(), **moved, **secrets[name]}

    def _inherited(self) -> dict[str, str]:
        """The shell's PATH, proxies and certificates, but none of its keys and settings."""
        kept = {key: value for key, value in without_real_keys(self.user).items() if not key.startswith(PREFIX)}
        return {**kept, "PYTHONUNBUFFERED": "1"}

    def _common(self, name: str) -> dict[str, str]:
        common = {
            "FAREGATE_ENVIRONMENT": "sandbox",
            "FAREGATE_KAFKA_BOOTSTRAP": self.stack.kafka_bootstrap,
            "FAREGATE_PUBLIC_URL": self.public_url,
            "FAREGATE_AUTH_URL": self.addresses.url("auth"),
            f"FAREGATE_{name.upper()}_PORT": str(self.addresses.port(name)),
        }
        if name != "gateway":
            common[f"FAREGATE_{name.upper()}_DATABASE_URL"] = self.stack.database_url(name, is_running=True)
        if name != "auth":
            common[f"FAREGATE_{name.upper()}_SERVICE_SECRET"] = self.credentials.service_secrets[name]
        return common | {key: self.user[key] for key in USERS_COMMON if key in self.user}

    def _defaults(self, name: str) -> dict[str, str]:
        """What a user may set otherwise."""
        defaults = {
            # The programs of docs/integrate, and keys for clients that cannot refresh.
            "auth": {"FAREGATE_AUTH_PROGRAMS": json.dumps(EXAMPLE_PROGRAMS), "FAREGATE_AUTH_SESSION_KEYS": "true"},
            "billing": {
                "FAREGATE_BILLING_STRIPE_POLL_S": "0" if self.selection.has_stripe_stand_in else str(STRIPE_POLL_S),
                # Elsewhere every way of paying is dark until its operator opens it.
                "FAREGATE_BILLING_OPEN_PATHS": OPEN_PATHS,
            },
            "notifier": {
                "FAREGATE_NOTIFIER_MAIL_FROM": "Faregate <no-reply@example.com>",
                "FAREGATE_NOTIFIER_ENDPOINTS_MAY_BE_LOCAL": "true",
            },
        }
        found = defaults.get(name, {})
        if name in ("ledger", "billing") and self.selection.has_provider_stand_in:
            # Billing checks against it what its offers earn.
            book = self.user.get("FAREGATE_LEDGER_PRICE_BOOK") or str(book_in(self.stack.folder))
            return {**found, f"{PREFIX}{name.upper()}_PRICE_BOOK": book}
        return found

    def _fixed(self, name: str) -> dict[str, str]:
        match name:
            case "auth":
                return self._auth()
            case "gateway":
                return self._gateway()
            case "billing":
                return self._billing()
            case "notifier":
                return {
                    "FAREGATE_NOTIFIER_SMTP_HOST": HOST,
                    "FAREGATE_NOTIFIER_SMTP_PORT": str(self.addresses.smtp),
                    "FAREGATE_BILLING_URL": self.addresses.url("billing"),
                }
            case _:
                return {}

    def _auth(self) -> dict[str, str]:
        hashes = {
            service: hashlib.sha256(secret.encode()).hexdigest()
            for service, secret in self.credentials.service_secrets.items()
        }
        return {
            "FAREGATE_AUTH_KEY_ENCRYPTION_KEY": self.credentials.auth_key_encryption_key,
            "FAREGATE_AUTH_SERVICE_SECRET_HASHES": json.dumps(hashes),
        }

    def _gateway(self) -> dict[str, str]:
        settings = {
            "FAREGATE_REDIS_URL": self.stack.redis_url,
            "FAREGATE_LEDGER_URL": self.addresses.url("ledger"),
            "FAREGATE_BILLING_URL": self.addresses.url("billing"),
            "FAREGATE_NOTIFIER_URL": self.addresses.url("notifier"),
            "FAREGATE_ANTHROPIC_API_KEY": self.selection.anthropic_key or self.credentials.provider_api_key,
            # Journals and spools: a gateway that starts again finds there what the last one left.
            "FAREGATE_GATEWAY_STATE_DIR": str(self.stack.folder / "gateway"),
        }
        if self.selection.has_provider_stand_in:
            settings["FAREGATE_ANTHROPIC_BASE_URL"] = self.addresses.url("provider")
            settings["FAREGATE_OPENAI_BASE_URL"] = self.addresses.url("provider")
            settings["FAREGATE_OPENAI_API_KEY"] = self.credentials.provider_api_key
        elif self.selection.anthropic_url is not None:
            settings["FAREGATE_ANTHROPIC_BASE_URL"] = self.selection.anthropic_url
        return settings

    def _billing(self) -> dict[str, str]:
        ledger = {"FAREGATE_LEDGER_URL": self.addresses.url("ledger")}
        secret = self.selection.stripe_webhook_secret or self.credentials.stripe_webhook_secret
        if self.selection.stripe_key is not None:
            return {**ledger, "FAREGATE_STRIPE_SECRET_KEY": self.selection.stripe_key, STRIPE_WEBHOOK_SECRET: secret}
        return {
            **ledger,
            "FAREGATE_STRIPE_SECRET_KEY": self.credentials.stripe_secret_key,
            STRIPE_WEBHOOK_SECRET: self.credentials.stripe_webhook_secret,
            "FAREGATE_STRIPE_API_URL": self.addresses.url("stripe"),
        }
