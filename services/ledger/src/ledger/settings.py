"""The ledger's settings; read by `app` and the commands only."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"
SHIPPED_BOOK: Final = Path(__file__).parent / "price_books" / "2026-11-21.toml"


class LedgerSettings(ServiceSettings):
    """`FAREGATE_LEDGER_…`."""

    model_config = SettingsConfigDict(env_prefix="FAREGATE_LEDGER_")

    database_url: SecretStr = Field(description="as the writer: a role that cannot change what is booked")
    migration_url: SecretStr | None = Field(None, description="as the owner, for migrate and archive; else the same")
    price_book: Path = SHIPPED_BOOK
    books_years: int = Field(10, ge=1, description="how long charges are kept; older calls are not booked")
    margin_floor_bps: int | None = Field(None, description="a day's margin below this is told; none watches nothing")
    service_secret: SecretStr | None = Field(None, description="for asking gateways; without it journals stay unasked")
    gateway_urls: str | None = Field(None, description="all gateways, separated by commas; the public URL when not set")
    reconcile_settle_s: float = Field(3600.0, ge=60, description="after that the calls of a window have ended")
    archive_folder: Path = Field(Path("archive"), description="where usage detail goes that is older than its days")
    detail_days: int = Field(90, ge=1, description="how long usage detail is kept before it may be archived")

    @property
    def owners_url(self) -> str:
        """For commands that make and drop tables."""
        return (self.migration_url or self.database_url).get_secret_value()

    @property
    def gateways(self) -> tuple[str, ...]:
        """Where journals are asked for."""
        given = self.public_url if self.gateway_urls is None else self.gateway_urls
        return tuple(one.strip() for one in given.split(",") if one.strip())
