"""The secrets of one sandbox: made once, kept in its state folder, readable by its owner only."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

FILE_NAME = "credentials.json"
SERVICES_WITH_SECRET = ("gateway", "ledger", "billing", "notifier")


@dataclass(frozen=True, slots=True)
class Login:
    """Someone who can log in to this sandbox."""

    email: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What the services need to know and nobody else."""

    auth_key_encryption_key: str
    service_secrets: dict[str, str]
    provider_api_key: str
    stripe_secret_key: str
    stripe_webhook_secret: str
    user_password: str
    operator_password: str

    @classmethod
    def generate(cls) -> Self:
        return cls(
            auth_key_encryption_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            service_secrets={name: secrets.token_urlsafe(32) for name in SERVICES_WITH_SECRET},
            provider_api_key=f"sk-sandbox-{secrets.token_hex(24)}",
            stripe_secret_key=f"sk_test_{secrets.token_hex(24)}",
            stripe_webhook_secret=f"whsec_{secrets.token_hex(24)}",
            user_password=secrets.token_urlsafe(15),
            operator_password=secrets.token_urlsafe(15),
        )

    @classmethod
    def kept_in(cls, folder: Path) -> Self:
        """Those of the folder, made when it has none yet."""
        path = folder / FILE_NAME
        if path.exists():
            return cls(**json.loads(path.read_text()))
        made = cls.generate()
        partial = path.with_suffix(".part")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(made), file, indent=2)
        partial.replace(path)
        return made

    @property
    def user(self) -> Login:
        return Login("you@example.com", self.user_password)

    @property
    def operator(self) -> Login:
        return Login("operator@example.com", self.operator_password)
