"""What time, and changes of plans, do to the reference's accounts (docs/periods.md)."""

from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from ledger.simulation import steps
from ledger.simulation.slow_books import Party, Pot, SlowBooks
from ledger.simulation.steps import months_after


class SlowPeriods(SlowBooks):
    """Periods end, plans change."""

    def __init__(self, plans: dict[str, steps.Plan]) -> None:
        super().__init__(plans)
        self.subscriptions: dict[str, steps.Subscription] = {}
        self.free = next(plan for plan in plans.values() if plan.is_free)

    def settle(self, account: UUID) -> Party:
        """Do what was due by now."""
        party = self.parties[account]
        while party.ends <= self.now:
            self._next_period(party)
        self.expire(party, self.now)
        return party

    def _next_period(self, party: Party) -> None:
        end, until = party.ends, self._following(party)
        self._carry_on(party, end, until)
        self.expire(party, end)
        self._begin(party, end, until)
        if party.plan.is_free:
            self._give(party, end)
            self._give(party, until)
        for pot in party.pots:
            if pot.starts == end and pot.left:
                self.repay(party, pot)

    def _following(self, party: Party) -> datetime:
        """Where the period after the running one ends."""
        if party.subscription is None:
            return self._boundary(party, self._number_at(party, party.ends) + 1)
        if months_after(party.starts, 1) == party.ends:
            return months_after(party.starts, 2)
        return months_after(party.ends, 1)

    def _boundary(self, party: Party, number: int) -> datetime:
        return months_after(party.anchor, number)

    def _number_at(self, party: Party, instant: datetime) -> int:
        number = 0
        while self._boundary(party, number + 1) <= instant:
            number += 1
        return number

    def _begin(self, party: Party, starts: datetime, ends: datetime) -> None:
        party.starts, party.ends, party.overage = starts, ends, 0

    def _carry_on(self, party: Party, end: datetime, until: datetime) -> None:
        plan = party.plan
        if plan.roll_over_cap is None:
            return
        ending = [pot for pot in party.pots if pot.rule == rule_of(plan) and pot.unit == plan.unit and pot.ends == end]
        carried = min(plan.roll_over_cap, sum(pot.left for pot in ending))
        if not carried:
            return
        heir = Pot("plan", plan.unit, carried, 100, end, until, self.now, rule_of(plan), left=carried, is_carried=True)
        party.pots.append(heir)
        for pot in sorted(ending, key=lambda pot: (pot.is_carried, pot.created)):
            moved = min(carried, pot.left)
            pot.left, pot.rolled, carried = pot.left - moved, pot.rolled + moved, carried - moved
            pot.heir = heir if moved else pot.heir

    def _give(self, party: Party, starts: datetime, *, since: datetime | None = None) -> None:
        """The free plan's grant of the whole period that starts then, or the share of what is left of it."""
        plan, ends = self.free, self._boundary(party, self._number_at(party, starts) + 1)
        rule, first = rule_of(plan), max(since or starts, starts)
        amount = int(plan.amount * _part(ends - first, ends - starts))
        if (rule, starts) not in party.given and amount:
            party.given.add((rule, starts))
            self.open(party, Pot("plan", plan.unit, amount, 100, first, ends, self.now, rule), "plan")

    def sign_up(self, one: steps.SignUp) -> None:
        if one.account in self.parties:
            return
        plan, first = self.free, months_after(self.now, 1)
        party = self.parties[one.account] = Party(one.account, self.now, plan, self.now, first)
        self._give(party, self.now)
        self._give(party, first)
        ends = self.now + timedelta(days=plan.trial_days)
        self.open(party, Pot("trial", "credit", plan.trial_nano, 50, self.now, ends, self.now), "trial")

    def subscribe(self, one: steps.Subscription) -> None:
        known = self.subscriptions.get(one.subscription_id)
        if known is not None and known.version >= one.version:
            return
        self.subscriptions[one.subscription_id] = one
        party = self.settle(one.account)
        own = [sub for sub in self.subscriptions.values() if sub.account == one.account and sub.is_active]
        own.sort(key=lambda sub: sub.subscription_id)
        active = max(own, key=lambda sub: sub.period[0], default=None)
        if active is not None:
            self._follow(party, active)
        elif party.subscription is not None:
            self._return(party)

    def _follow(self, party: Party, active: steps.Subscription) -> None:
        old, plan = party.plan, self.plans[active.plan_id]
        starts, ends = active.period
        if plan is not old:
            self._leave(party, old, is_changed=party.subscription == active.subscription_id)
        party.subscription = active.subscription_id
        if plan is old and party.ends == ends:
            return
        if plan is old and party.starts == starts:
            party.ends = ends
            return
        if plan is not old and starts <= self.now < ends:
            starts = self.now
        party.plan = plan
        self._begin(party, starts, ends)

    def _leave(self, party: Party, old: steps.Plan, *, is_changed: bool) -> None:
        """What was given ahead goes back; so does what was paid of the time that a changed subscription did not use."""
        for pot in party.pots:
            if pot.rule != rule_of(old):
                continue
            if old.is_free and pot.starts > self.now:
                self.move("customers", "plan", pot.left, pot.unit)
                pot.left, pot.is_withdrawn = 0, True
                party.given.discard((pot.rule, pot.starts))
            elif is_changed and not old.is_free and not pot.is_carried and pot.covers(self.now) and pot.ends:
                unused = min(pot.left, int(pot.amount * _part(pot.ends - self.now, pot.ends - pot.starts)))
                self.move("customers", "stripe_clearing", unused, pot.unit)
                pot.left -= unused

    def _return(self, party: Party) -> None:
        """To the free plan: its calendar never stopped."""
        party.subscription, party.plan = None, self.free
        number = self._number_at(party, self.now)
        starts, ends = self._boundary(party, number), self._boundary(party, number + 1)
        self._begin(party, max(starts, self.now), ends)
        self._give(party, starts, since=self.now)
        self._give(party, ends)

    def set_terms(self, one: steps.Settings) -> None:
        known = self.parties[one.account].settings
        if known is None or known.version < one.version:
            self.settle(one.account).settings = one


def rule_of(plan: steps.Plan) -> str:
    return f"{'allowance' if plan.is_free else 'subscription'}:{plan.plan_id}"


def _part(rest: timedelta, whole: timedelta) -> Fraction:
    microsecond = timedelta(microseconds=1)
    return Fraction(rest // microsecond, whole // microsecond)
