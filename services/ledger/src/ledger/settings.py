"""The ledger's settings; read by `app` and the commands only."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings

SHIPPED_BOOK: Final = Path(__file__).parent / "price_books" / "2026-11-21.toml"


class LedgerSettings(ServiceSettings):
    """`FAREGATE_LEDGER_…`."""

    model_config = SettingsConfigDict(env_prefix="FAREGATE_LEDGER_")

    database_url: SecretStr
    price_book: Path = SHIPPED_BOOK
    books_years: int = Field(10, ge=1, description="how long charges are kept; older calls are not booked")
