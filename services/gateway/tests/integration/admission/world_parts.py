"""The calls, gateways and random choices of a world; see `world`."""

import random
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from gateway.admission.scripts import AccountScripts

from .reference import NOTHING, Grant, Plan, Split, Totals, split_text

SCALES = (10, 10**6, 5 * 10**13)
SCRIPTS = AccountScripts()
MARKUP_BPS = 1234
MEMBERS = [f"{number:032x}" for number in (1, 2)]


@dataclass
class Call:
    """A call as its gateway knows it."""

    call_id: UUID
    admitted_ms: str
    totals: Totals
    user: str
    split: Split
    expires: int | None = None

    @property
    def scopes(self):
        return ["account"] + ([f"member:{self.user}"] if self.user else [])

    @property
    def known(self):
        return {"split": self.split, "totals": self.totals, "scopes": self.scopes}

    def packed(self):
        expires = "" if self.expires is None else self.expires
        return (
            f"{self.admitted_ms}|{MARKUP_BPS}|3|trial|{words(self.totals)}|{self.user}|||{expires}|"
            f"{split_text(self.split)}"
        )


def words(totals):
    return f"{totals.price}|{totals.tokens}|{totals.overage}|{totals.requests}|{totals.rate}"


@dataclass
class Gateway:
    name: str
    alive: bool = True
    paused: bool = False
    entered: str = ""
    open: dict[UUID, Call] = field(default_factory=dict)
    ended: dict[UUID, tuple[Call, Totals]] = field(default_factory=dict)
    lost: dict[UUID, Call] = field(default_factory=dict)
    """Admissions whose answer never came."""


class Chances:
    """What a schedule draws."""

    random: random.Random
    scale: int
    units: str
    hour: int

    def new_grant(self) -> Grant:
        start = self.hour + self.random.choice((-5, -5, -5, 1.5))
        unit = self.random.choice(self.units)
        amount = self.random.randrange(6) + 1 if unit == "r" else self.random.randrange(10 * self.scale) + 1
        return Grant(uuid4(), unit, amount, start, start + self.random.choice((6.2, 8.2, 100)))

    def new_plan(self, digest="d1") -> Plan:
        maybe, scale = self.random.choice, self.scale
        budgets = [("account", "day", 25 * scale, self.random.randrange(5 * scale), maybe((None, self.hour + 0.7)))]
        budgets += [(f"member:{user}", "month", 12 * scale, 0, None) for user in MEMBERS]
        return Plan(
            digest=digest,
            most_request=maybe((None, 2 * scale)),
            policy=maybe(("block", "block", "warn")),
            rpm=maybe((None, 5, 40)),
            tpm=maybe((None, None, 20 * min(scale, 10**6))),
            open=maybe((None, None, 4)),
            open_member=maybe((None, None, 2)),
            most_price=maybe((None, None, 2 * scale)),
            budgets=tuple(one for one in budgets if maybe((True, False))),
        )

    def new_totals(self) -> Totals:
        price, tokens = (self.random.randrange(3 * self.scale) for _ in range(2))
        overage = self.random.choice((price, self.random.randrange(3 * self.scale)))
        rate = self.random.randrange(min(tokens, 3 * 10**6) + 1)
        return Totals(price, tokens, 1, overage, rate)

    def below(self, totals: Totals) -> Totals:
        least = Totals(*(self.random.choice((0, most, self.random.randint(0, most))) for most in totals))
        if not any(least):
            return NOTHING
        # A call that has tokens takes at least one of them (rating.plan_tokens).
        return least._replace(requests=1, tokens=max(least.tokens, min(1, totals.tokens)))
