"""What an account wants to be warned of."""

from fastapi import APIRouter

from ledger.domain.thresholds import SHARES, Levels
from ledger.entrypoints.access import AccountDep, DatabaseDep, MoneyReader, MoneyWriter
from ledger.errors import LevelsError
from ledger.schemas.amounts import credits_of, nano_of
from ledger.schemas.levels import LevelsAnswer, LevelsRequest
from ledger.service.setting_levels import SettingLevels


def build_router(setting: SettingLevels) -> APIRouter:
    router = APIRouter(tags=["me"])

    @router.get("/ledger/levels", summary="What the account is warned of")
    async def levels(_: MoneyReader, account_id: AccountDep, database: DatabaseDep) -> LevelsAnswer:
        async with database.reading() as session:
            return _answer(await setting.levels(session, account_id))

    @router.put("/ledger/levels", summary="Choose what the account is warned of")
    async def choose(body: LevelsRequest, caller: MoneyWriter, database: DatabaseDep) -> LevelsAnswer:
        chosen = _levels(body)
        async with database.transaction() as session:
            await setting.choose(session, caller.account_id, chosen, actor_user_id=caller.user_id)
        return _answer(chosen)

    return router


def _levels(body: LevelsRequest) -> Levels | None:
    own = bool(body.percent or body.credits or body.days_left or body.spend_spike_percent)
    if body.usual and own:
        raise LevelsError("excludes levels of one's own", field="usual")
    if body.usual:
        return None
    return Levels(
        percent=tuple(sorted(set(body.percent), reverse=True)),
        credits_nano=tuple(sorted({nano_of(text) for text in body.credits}, reverse=True)),
        days_left=tuple(sorted(set(body.days_left), reverse=True)),
        spend_spike_percent=body.spend_spike_percent,
    )


def _answer(levels: Levels | None) -> LevelsAnswer:
    if levels is None:
        usual = [share for level, share in SHARES.items() if level != "empty"]
        return LevelsAnswer(usual=True, percent=usual, credits=[], days_left=[], spend_spike_percent=None)
    return LevelsAnswer(
        usual=False,
        percent=list(levels.percent),
        credits=[credits_of(figure) for figure in levels.credits_nano],
        days_left=list(levels.days_left),
        spend_spike_percent=levels.spend_spike_percent,
    )
