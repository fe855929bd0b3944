"""What customers ask."""

from fastapi import APIRouter

from ledger.entrypoints import balance, exports, levels, promos, requests, statements, usage
from ledger.entrypoints.access import PROBLEMS, STRICT
from ledger.service.exporting import Exporting
from ledger.service.forecasting import Forecasting
from ledger.service.promoting import Promoting
from ledger.service.reading import Reading
from ledger.service.setting_levels import SettingLevels
from ledger.service.stating import Stating


def build_router(
    reading: Reading,
    *,
    forecasting: Forecasting,
    stating: Stating,
    exporting: Exporting,
    promoting: Promoting,
    setting: SettingLevels,
) -> APIRouter:
    router = APIRouter(responses=PROBLEMS, dependencies=[STRICT])
    for part in (
        balance.build_router(reading, forecasting),
        usage.build_router(reading),
        requests.build_router(reading),
        statements.build_router(stating),
        exports.build_router(exporting),
        promos.build_router(promoting),
        levels.build_router(setting),
    ):
        router.include_router(part)
    return router
