"""Elastic holds: an open call's hold grows to new totals, or its stream must end (money.md 8)."""

from collections.abc import Callable
from typing import Any, Final

from gateway.admission.asking import REACH_S, ROUNDS, Asking, AskingParts
from gateway.admission.hold import Hold, packed_amounts
from gateway.admission.scripts import account_keys
from gateway.admission.types import AdmissionUnavailableError, Amounts, ExtendAnswer
from gateway.admission.wire import RedisAwayError, RedisLostError

Extended = Callable[[bool | ExtendAnswer | Exception], None]

_LOST: Final[dict[bytes, ExtendAnswer]] = {b"swept": "swept", b"confirmed": "confirmed", b"ended": "confirmed"}


class Growing:
    """Asks the extend script; the hold and its `Admitted` grow with a yes."""

    def __init__(self, parts: AskingParts, asking: Asking, *, patience_ms: int) -> None:
        self._parts = parts
        self._asking = asking
        self._patience_ms = patience_ms

    def soon(self, hold: Hold, amounts: Amounts, then: Extended) -> None:
        parts, fast = self._parts, self._parts.redis.fast
        if fast.wire is None or fast.run is None:
            self._asking.begin(self._slowly(hold, amounts, then))
            return

        def answered(reply: Any) -> None:
            if isinstance(reply, RedisLostError) or reply == b"reload":
                self._asking.begin(self._slowly(hold, amounts, then))
            elif isinstance(reply, Exception):
                then(reply)
            else:
                then(_grown(hold, amounts, reply))

        command, packed = parts.commands.extend(fast.run.run_id), self._packed(hold, amounts)
        fast.wire.send(command.written(hold.account_id, packed, hold.request.report), answered, parts.scripts.extend)

    async def _slowly(self, hold: Hold, amounts: Amounts, then: Extended) -> None:
        try:
            answer: bool | ExtendAnswer | Exception = await self._ask(hold, amounts)
        except AdmissionUnavailableError as error:
            away = isinstance(error, RedisAwayError | RedisLostError)
            answer = True if away and self._opened(hold, amounts) else error
        then(answer)

    async def _ask(self, hold: Hold, amounts: Amounts) -> bool | ExtendAnswer:
        parts = self._parts
        for _ in range(ROUNDS):
            session = await parts.redis.fast.up(within_s=REACH_S)
            keys, packed = account_keys(hold.account_id), self._packed(hold, amounts)
            offset_ms = parts.commands.offset_ms
            reply = await session.script(parts.scripts.extend, keys, offset_ms, packed, hold.request.report)
            if reply != b"reload":
                return _grown(hold, amounts, reply)
            await parts.snapshots.reload(hold.account_id)
        raise AdmissionUnavailableError("The account's state does not come to rest; try again.")

    def _packed(self, hold: Hold, amounts: Amounts) -> str:
        return f"{hold.request.call_id.hex}|{self._patience_ms}|{packed_amounts(amounts)}|{hold.packed()}"

    def _opened(self, hold: Hold, amounts: Amounts) -> bool:
        """Redis is away: what the call adds is counted against the plan's open allowance."""
        added_nano = max(0, amounts.credit_nano - hold.admitted.amounts.credit_nano)
        if not self._parts.allowance.take(hold.account_id, added_nano, hold.request.terms):
            return False
        # On no slice: what Redis knows of it does not grow before its end.
        split = f"{hold.split},-:c={added_nano}" if hold.split else f"-:c={added_nano}"
        hold.extended(amounts, split)
        return True


def _grown(hold: Hold, amounts: Amounts, reply: bytes) -> bool | ExtendAnswer:
    word, _, split = reply.partition(b"|")
    if word == b"ok":
        hold.extended(amounts, split.decode())
        return True
    return _LOST.get(word, False)
