"""One account, three gateways, Kafka, the ledger, real Redis beside its reference; and what must hold between them.

After each step Redis and the reference must show the same, and what customers may still cost must be covered by what
the books hold. Time moves by the offset argument of the scripts.
"""

import copy
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contracts.ledger import BalanceChanged, Slice
from contracts.money import Unit
from gateway.admission import RedisConnection
from gateway.admission.hold import Hold
from gateway.admission.scripts import AccountScripts, account_keys
from gateway.admission.snapshots import _arguments

from .reference import (
    HOUR_MS,
    LEASE_MS,
    MARKUP_BPS,
    PATIENCE_MS,
    Grant,
    Ledger,
    Reference,
    Split,
    split_text,
    taken_from,
)

SCALES = (10, 10**6, 5 * 10**13)
SCRIPTS = AccountScripts()


@dataclass
class Gateway:
    name: str
    alive: bool = True
    paused: bool = False
    entered: str = ""
    open: dict[UUID, Hold] = field(default_factory=dict)
    ended: dict[UUID, tuple[Hold, int]] = field(default_factory=dict)


class World:
    def __init__(self, seed: int, redis: RedisConnection) -> None:
        self.random = random.Random(seed)
        self.redis = redis
        self.account_id = uuid4()
        self.keys = account_keys(self.account_id)
        self.began = datetime.now(UTC)
        self.hour = 0
        self.run_number = 0
        self.scale = self.random.choice(SCALES)
        self.reference = Reference()
        self.ledger = Ledger([self.new_grant() for _ in range(self.random.randint(1, 4))])
        self.gateways = [Gateway(f"g{i}") for i in range(3)]
        self.owner: dict[UUID, Gateway] = {}
        self.splits: dict[UUID, Split] = {}
        self.kafka, self.snapshots, self.log = [], [], []
        self.kafka_up = True
        self.slack = 0
        self.forgotten: dict[UUID, int] = {}
        self.backup = None
        self.ever_forgotten: set[UUID] = set()
        faults = ["lose", "duplicate", "toggle_kafka", "kill", "pause", "sweep", "forget", "survive", "back_up"]
        faults += ["pass_time", "grant"]
        self.actions = ["admit"] * 7 + ["end"] * 5 + ["settle"] * 4 + ["book"] * 4 + ["deliver"] * 4
        self.actions += [
            "ask",
            "start",
            "wake",
            "beat",
            "beat",
            *self.random.sample(faults, self.random.randint(0, len(faults))),
        ]

    @property
    def run(self) -> str:
        return f"run{self.run_number}"

    def new_grant(self) -> Grant:
        start = self.hour + self.random.choice((-5, -5, -5, 1.5))
        return Grant(
            uuid4(), self.random.randrange(10 * self.scale) + 1, start, start + self.random.choice((6.2, 8.2, 100))
        )

    async def script(self, script, *arguments):
        offset = self.hour * HOUR_MS
        return await self.redis.attempt(
            lambda session: session.command("EVAL", script.body, 5, *self.keys, self.run, offset, *arguments)
        )

    async def step(self) -> None:
        action = self.random.choice(self.actions)
        gateway = self.random.choice(self.gateways)
        self.log.append((action, gateway.name, self.hour))
        if action in {"admit", "end", "settle", "beat"}:
            if gateway.alive and not gateway.paused:
                await getattr(self, action)(gateway)
        else:
            await getattr(self, action)(gateway)

    async def admit(self, gateway) -> None:
        await self.enter(gateway)
        call, cost = uuid4(), self.random.randrange(3 * self.scale)
        expected, available, split = self.reference.admit(call, cost, run=self.run, hour=self.hour)
        arguments = str(call), cost, "model", PATIENCE_MS, 2000, b"|report|"
        reply = [part.decode() for part in await self.script(SCRIPTS.admit, *arguments)]
        if expected == "ok":
            assert reply[0] == "ok", f"{reply} instead of ok"
            assert (int(reply[6]), reply[5]) == (available, split_text(split)), f"{reply}, not {available}"
            self.account_for_missing(gateway)
            self.owner[call], self.splits[call] = gateway, split
            gateway.open[call] = Hold(
                call, self.account_id, int(reply[1]), MARKUP_BPS, reply[3], reply[4], reply[5], b"|report|"
            )
        elif expected == "credit":
            assert reply[:3] == ["refused", "credit", str(available)], f"{reply}, not {available}"
        else:
            assert reply == [expected], f"{reply}, not {expected}"
            await self.reload()

    def account_for_missing(self, _gateway) -> None:
        """What gateways have not re-entered when a call is admitted is the stated bound (rule 30)."""
        missing = {call for call in self.forgotten if self.owner[call].entered != self.run}
        self.slack += sum(self.forgotten.pop(call) for call in missing)

    async def end(self, gateway) -> None:
        if not gateway.open:
            return
        call = self.random.choice(sorted(gateway.open))
        hold = gateway.open.pop(call)
        if not self.kafka_up:
            return  # it cannot be stored: the call is left to the sweeper
        worst = sum(amount for _, amount in self.splits[call])
        price = self.random.choice((0, worst, self.random.randint(0, worst)))
        self.kafka.append((call, "completed", price, self.splits[call]))
        gateway.ended[call] = hold, price

    async def settle(self, gateway, call=None) -> None:
        if not gateway.ended:
            return
        call = call or self.random.choice(sorted(gateway.ended))
        hold, price = gateway.ended.pop(call)
        expected = self.reference.settle(call, price, self.splits[call], hour=self.hour)
        arguments = 60_000, price, *hold.arguments()
        assert (await self.script(SCRIPTS.settle, *arguments)).decode() == expected

    async def beat(self, gateway) -> None:
        holds = list(gateway.open.values())
        if holds:
            expected = [self.reference.keep(hold.call_id, self.splits[hold.call_id], hour=self.hour) for hold in holds]
            words = [word for hold in holds for word in hold.arguments()]
            states = [state.decode() for state in await self.script(SCRIPTS.keep, PATIENCE_MS, *words)]
            assert states == expected

    async def enter(self, gateway) -> None:
        if gateway.alive and not gateway.paused and gateway.entered != self.run:
            await self.beat(gateway)
            for call in list(gateway.ended):
                await self.settle(gateway, call)
            gateway.entered = self.run

    async def book(self, _gateway=None, upto=None) -> None:
        if self.kafka[self.ledger.offset :]:
            upto = upto or self.random.randint(self.ledger.offset + 1, len(self.kafka))
            self.snapshots.append(self.ledger.apply(self.kafka[self.ledger.offset : upto], hour=self.hour))

    async def apply(self, snapshot, *, reload=False) -> None:
        version, grants, debt, applied = snapshot
        event = BalanceChanged(
            id=uuid4(),
            time=self.began,
            account_id=self.account_id,
            version=version,
            state="open",
            markup_bps=MARKUP_BPS,
            debt_nano=debt,
            slices=tuple(self.slice_of(grant) for grant in grants),
            applied=tuple(applied),
        )
        await self.script(SCRIPTS.apply, "1" if reload else "0", *_arguments(event))
        self.reference.apply(snapshot, run=self.run, reload=reload, hour=self.hour)

    def slice_of(self, grant) -> Slice:
        starts, ends = (self.began + timedelta(hours=hour) for hour in (grant.from_hour, grant.to_hour))
        return Slice(slice_id=grant.slice_id, unit=Unit.CREDIT, amount=grant.amount, starts_at=starts, expires_at=ends)

    async def reload(self) -> None:
        """Rule 29: answered only after everything that is in Kafka is booked."""
        await self.book(upto=len(self.kafka))
        asked = set(self.reference.entries) & set(self.ledger.booked)
        await self.apply(self.ledger.snapshot(asked), reload=True)

    async def ask(self, _gateway) -> None:
        await self.apply(self.ledger.snapshot(set(self.reference.entries) & set(self.ledger.booked)))

    async def deliver(self, _gateway) -> None:
        if self.snapshots:
            await self.apply(self.snapshots.pop(self.random.randrange(len(self.snapshots))))

    async def duplicate(self, _gateway) -> None:
        if self.snapshots:
            await self.apply(self.random.choice(self.snapshots))

    async def lose(self, _gateway) -> None:
        if self.snapshots:
            self.snapshots.pop(self.random.randrange(len(self.snapshots)))

    async def grant(self, _gateway) -> None:
        self.snapshots.append(self.ledger.grant(self.new_grant()))

    async def pass_time(self, _gateway) -> None:
        self.hour += 1

    async def toggle_kafka(self, _gateway) -> None:
        self.kafka_up = not self.kafka_up

    async def kill(self, gateway) -> None:
        gateway.alive, gateway.paused = False, False
        gateway.open.clear()
        gateway.ended.clear()

    async def start(self, gateway) -> None:
        if not gateway.alive:
            gateway.alive, gateway.entered = True, ""
            await self.enter(gateway)

    async def pause(self, gateway) -> None:
        gateway.paused = gateway.alive

    async def wake(self, gateway) -> None:
        gateway.paused = False

    async def sweep(self, _gateway=None) -> None:
        if not self.kafka_up:
            return
        expected = self.reference.sweep(hour=self.hour)
        _, _, flat = await self.script(SCRIPTS.sweep, LEASE_MS, "1", 10_000)
        found = {UUID(flat[at].decode()): flat[at + 1].decode() for at in range(0, len(flat), 5)}
        assert found == expected
        for call, was in found.items():
            if was != "ended" and call not in self.ledger.booked:
                self.kafka.append((call, "orphaned", 0, self.splits[call]))
            if was == "held" and call in self.owner[call].open:
                self.slack += sum(amount for _, amount in self.splits[call])  # swept too early: rule 14's bound

    async def forget(self, _gateway) -> None:
        """Redis comes back empty."""
        await self.lose_since(Reference())
        await self.redis.attempt(lambda session: session.command("DEL", *self.keys))

    async def back_up(self, _gateway) -> None:
        dumps = [await self.redis.attempt(lambda s, key=key: s.command("DUMP", key)) for key in self.keys]
        self.backup = copy.deepcopy(self.reference), dumps

    async def survive(self, _gateway) -> None:
        """Redis comes back with its file, which may end somewhat in the past."""
        if self.backup is None or self.random.random() < 0.5:
            await self.lose_since(self.reference)
            return
        reference, dumps = self.backup
        await self.lose_since(copy.deepcopy(reference))
        for key, dump in zip(self.keys, dumps, strict=True):
            await self.redis.attempt(lambda s, key=key: s.command("DEL", key))
            if dump:
                await self.redis.attempt(lambda s, key=key, dump=dump: s.command("RESTORE", key, 0, dump))

    async def lose_since(self, reference) -> None:
        gone = {
            call: sum(amount for _, amount in entry["split"])
            for call, entry in self.reference.entries.items()
            if call not in reference.entries
        }
        self.forgotten |= gone
        self.ever_forgotten |= set(gone)
        self.reference = reference
        self.run_number += 1

    def outstanding(self) -> dict[UUID, int]:
        """What customers may still cost, by slice: open calls at their hold, ended ones that are not booked."""
        total: dict[UUID, int] = {}
        final = {call for call, (outcome, _) in self.ledger.booked.items() if outcome != "orphaned"}
        waiting = [
            (split, price) for call, outcome, price, split in self.kafka[self.ledger.offset :] if outcome != "orphaned"
        ]
        held = [self.splits[call] for gateway in self.gateways for call in gateway.open if call not in final]
        for split in held + [taken_from(split, price, excess=True) for split, price in waiting if price]:
            for slice_id, amount in split:
                total[slice_id] = total.get(slice_id, 0) + amount
        return total

    async def check(self) -> None:
        await self.check_same()
        left = {grant.slice_id: grant.amount for grant in self.ledger.grants}
        outstanding = self.outstanding()
        exposed = sum(max(0, amount - left[slice_id]) for slice_id, amount in outstanding.items())
        assert exposed + self.ledger.debt <= self.slack, (
            f"exposed {exposed}, debt {self.ledger.debt}, slack {self.slack}"
        )

    async def check_same(self) -> None:
        calls = await self.redis.attempt(lambda session: session.command("HGETALL", self.keys[2]))
        used = await self.redis.attempt(lambda session: session.command("HGETALL", self.keys[3]))
        entries = {}
        for call, entry in zip(calls[::2], calls[1::2], strict=True):
            state, _, _, _, _, _, split, report = entry.decode().split("|", 7)
            assert report == "|report|"
            entries[UUID(call.decode())] = state, split
        assert entries == {
            call: (entry["state"], split_text(entry["split"])) for call, entry in self.reference.entries.items()
        }
        assert {UUID(name.decode()): int(value) for name, value in zip(used[::2], used[1::2], strict=True)} == (
            self.reference.used()
        )
        reply = await self.script(SCRIPTS.admit, str(uuid4()), 10**17, "model", PATIENCE_MS, 2000, b"")
        if reply[0] == b"reload":
            assert self.reference.built != self.run or self.reference.version is None
        else:
            assert int(reply[2]) == self.reference.free(self.hour)[0]

    async def rest(self) -> None:
        """Everything that can happen happens; then nothing is left but the truth."""
        self.kafka_up = True
        for gateway in self.gateways:
            gateway.paused = False
            await self.start(gateway)
            await self.enter(gateway)
            while gateway.open:
                await self.end(gateway)
            for call in list(gateway.ended):
                await self.settle(gateway, call)
        await self.reload()
        for _ in range(2):
            self.hour += 2
            await self.sweep()
            await self.book(upto=len(self.kafka))
            await self.ask(None)
        await self.check()
        assert not self.reference.entries
        assert self.reference.free(self.hour)[0] == self.ledger.balance(self.hour)
        # Redis and a gateway lost together: the stated exception, until there is a journal.
        assert set(self.owner) - set(self.ledger.booked) <= self.ever_forgotten

    async def forget_all(self) -> None:
        await self.redis.attempt(lambda session: session.command("DEL", *self.keys))
