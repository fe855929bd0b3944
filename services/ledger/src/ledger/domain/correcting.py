"""Posting the difference of a corrected charge (money.md 23): back to where it came from, or out of today's grants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from contracts.money import Unit
from ledger.domain.book import AccountBook
from ledger.domain.rerating import Correction, left_of
from ledger.domain.transfers import GOODWILL, PROVIDER, TransferKind, cost_account, revenue_account

CREDIT: Final = Unit.CREDIT.value


class Posted(NamedTuple):
    """The numbers of a correction's transfers, and what it changed of the revenue."""

    first_seq: int
    last_seq: int
    recognised_nano: int


def post_correction(book: AccountBook, correction: Correction, transfers: Sequence[Any], *, reference: str) -> Posted:
    """Move only the difference.

    A call that was given back already cannot be given back again: what is left of its burns is the most.
    """
    first, call, recognised_nano = book.account.transfer_seq + 1, correction.call, 0
    difference_nano = correction.price_difference_nano
    if difference_nano < 0:
        amounts = {CREDIT: -difference_nano}
        returned = book.reverse_charge(left_of(transfers), charge_id=call.call_id, reference=reference, amounts=amounts)
        recognised_nano = -returned.recognised_nano
    elif difference_nano > 0:
        recognised_nano = charge_more(
            book,
            difference_nano,
            call_id=call.call_id,
            model=call.model,
            admitted_at=call.admitted_at,
            reference=reference,
        )
    _correct_cost(book, correction, reference=reference)
    return Posted(first, book.account.transfer_seq, recognised_nano)


def charge_more(
    book: AccountBook, amount: int, *, call_id: UUID, model: str, admitted_at: datetime, reference: str
) -> int:
    """Take what was charged too little from grants valid then and now, then from today's, then as debt.

    Returns what of it is revenue now.
    """
    revenue, kind, recognised_nano = revenue_account(model), TransferKind.CORRECTION, 0
    usable = [grant for grant in book.grants if grant.unit is Unit.CREDIT and grant.valid_at(book.now)]
    for grant in sorted(usable, key=lambda grant: not grant.valid_at(admitted_at)):
        portion = min(amount, grant.remaining)
        if portion > 0:
            before, grant.burnt = grant.burnt, grant.burnt + portion
            recognised_nano += grant.recognised_nano(grant.burnt) - grant.recognised_nano(before)
            book.withdraw(grant, portion, target=revenue, kind=kind, reference=reference, charge_id=call_id)
            amount -= portion
    if amount:
        book.owe(amount, target=revenue, kind=kind, reference=reference, charge_id=call_id)
    return recognised_nano + amount


def _correct_cost(book: AccountBook, correction: Correction, *, reference: str) -> None:
    call, difference_nano = correction.call, correction.cost_difference_nano
    if not difference_nano:
        return
    # As it was booked: what nobody was charged for is ours to bear.
    is_paid = call.price_nano or call.plan_tokens or call.plan_requests
    bearer = cost_account(call.model) if is_paid else GOODWILL
    source, target = (bearer, PROVIDER) if difference_nano > 0 else (PROVIDER, bearer)
    kind = TransferKind.COST_CORRECTION
    book.record(source, target, abs(difference_nano), kind=kind, reference=reference, charge_id=call.call_id)
