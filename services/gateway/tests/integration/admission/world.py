"""One account, three gateways, Kafka, the ledger, real Redis beside its reference; and what must hold between them.

After each step Redis and the reference must show the same, and what customers may still cost must be covered by what
the books hold, in every unit. Time moves by the offset argument of the scripts. Where a stated exception displaces
tokens or requests, what is displaced falls on credits at another call's price: then only the same unit is checked;
where the plan changes under open calls, only that script and reference agree.
"""

import copy
import random
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from contracts.ledger import BalanceChanged
from gateway.admission import RedisConnection
from gateway.admission.scripts import account_keys
from gateway.admission.snapshot_words import snapshot_words

from .reference import HOUR_MS, LEASE_MS, NOTHING, PATIENCE_MS, UNITS, Reference, Split, Totals, by_unit, split_text
from .reference_ledger import Ledger
from .world_checks import Checks
from .world_parts import MARKUP_BPS, MEMBERS, SCALES, SCRIPTS, Call, Chances, Gateway, words
from .world_snapshots import SnapshotMaking


class World(Chances, SnapshotMaking, Checks):
    def __init__(self, seed: int, redis: RedisConnection) -> None:
        self.random = random.Random(seed)
        self.redis = redis
        self.account_id = uuid4()
        self.keys = account_keys(self.account_id)
        self.began = datetime.now(UTC)
        self.hour = 0
        self.run_number = 0
        self.scale = self.random.choice(SCALES)
        self.units = self.random.choice(("c", "c", "tc", "rc", "tco", "rtco", "to"))
        self.reference = Reference()
        self.ledger = Ledger([self.new_grant() for _ in range(self.random.randint(1, 5))], plan=self.new_plan())
        self.gateways = [Gateway(f"g{i}") for i in range(3)]
        self.owner: dict[UUID, Gateway] = {}
        self.calls: dict[UUID, Call] = {}
        self.holds: dict[UUID, Call] = {}
        self.kafka, self.snapshots, self.log = [], [], []
        self.kafka_up = True
        self.changed_plan = False
        self.slack = dict.fromkeys(UNITS, 0)
        self.digests: dict[str, str] = {}
        self.forgotten: dict[UUID, Split] = {}
        self.backup = None
        self.ever_forgotten: set[UUID] = set()
        faults = ["lose", "duplicate", "toggle_kafka", "kill", "pause", "sweep", "forget", "survive", "back_up"]
        faults += ["pass_time", "grant", "change_plan", "lose_answer", "hold"]
        self.actions = ["admit"] * 7 + ["extend"] * 3 + ["end"] * 5 + ["settle"] * 4 + ["book"] * 4 + ["deliver"] * 4
        self.actions += [
            "ask",
            "start",
            "wake",
            "beat",
            "beat",
            "undo",
            "end_hold",
            *self.random.sample(faults, self.random.randint(0, len(faults))),
        ]

    @property
    def run(self) -> str:
        return f"run{self.run_number}"

    async def script(self, script, *arguments):
        offset = self.hour * HOUR_MS
        return await self.redis.attempt(
            lambda session: session.command(
                "EVAL", script.body, len(self.keys), *self.keys, self.run, offset, *arguments
            )
        )

    async def bucket_at(self, name) -> int:
        """When a bucket was touched last: what time it was for the script."""
        rates = await self.redis.attempt(lambda session: session.command("HGET", self.keys[0], "rates"))
        return int((rates or b"0|0|0|0").split(b"|")[1 if name == "rpm" else 3])

    async def step(self) -> None:
        action = self.random.choice(self.actions)
        gateway = self.random.choice(self.gateways)
        self.log.append((action, gateway.name, self.hour))
        if action in {"admit", "extend", "end", "settle", "beat", "lose_answer", "undo", "hold"}:
            if gateway.alive and not gateway.paused:
                await getattr(self, action)(gateway)
        else:
            await getattr(self, action)(gateway)

    async def ask_for(self, gateway, *, expires_in_hours=None, call_id=None) -> Call | None:
        await self.enter(gateway)
        call_id = call_id or uuid4()
        expires_hour = None if expires_in_hours is None else self.hour + expires_in_hours
        expires = None if expires_hour is None else int(self.began.timestamp() * 1000 + expires_hour * HOUR_MS)
        call = Call(call_id, "0", self.new_totals(), self.random.choice(("", *MEMBERS)), [], expires)
        digest = self.random.choice((self.reference.plan.digest,) * 9 + ("other",))
        packed = (
            f"{call_id.hex}|{PATIENCE_MS}|2000|{self.digests.get(digest, '0')}||0|{words(call.totals)}|{call.user}|||"
            f"{'' if expires is None else expires}|{MARKUP_BPS}|model"
        )
        reply = (await self.script(SCRIPTS.admit, packed, b"|report|")).decode().split("|")
        standing = reply[{"ok": 3, "refused": 7}.get(reply[0], 99) :]
        now = int(standing[0]) if standing else 0
        expected, left, split = self.reference.admit(
            call_id,
            call.totals,
            run=self.run,
            hour=self.hour,
            now=now,
            scopes=call.scopes,
            digest=digest,
            expires=expires_hour,
        )
        if standing:
            shown = dict(zip("ctro", map(int, standing[2:6]), strict=True))
            assert shown == left, f"{shown} left, not {left}"
        if expected == "ok":
            assert reply[0] == "ok", f"{reply} instead of ok"
            assert reply[2] == split_text(split), f"{reply[2]}, not {split_text(split)}"
            call.admitted_ms, call.split = reply[1], split
            self.account_for_missing(gateway)
            self.calls[call_id] = call
            return call
        if expected in {"reload", "ended", "terms"}:
            assert reply[0] == expected, f"{reply}, not {expected}"
            if expected == "reload":
                await self.reload()
            return None
        assert expected in (reply[1], reply[2]), f"{reply}, not {expected}"
        return None

    async def admit(self, gateway) -> None:
        call = await self.ask_for(gateway)
        if call is not None:
            self.owner[call.call_id] = gateway
            gateway.open[call.call_id] = call

    async def hold(self, gateway) -> None:
        """A customer's own hold: no gateway keeps it alive."""
        call = await self.ask_for(gateway, expires_in_hours=self.random.choice((0.5, 2.5)))
        if call is not None:
            self.owner[call.call_id] = gateway
            self.holds[call.call_id] = call

    async def end_hold(self, gateway) -> None:
        """Confirmed by whichever gateway is asked; not after it was swept or lost."""
        standing = [call for call in self.holds if self.reference.entries.get(call, {}).get("state") == "held"]
        if standing and self.kafka_up:
            call = self.holds.pop(self.random.choice(sorted(standing)))
            totals = self.below(call.totals)
            self.kafka.append((call.call_id, "completed", totals, call.split))
            gateway.ended[call.call_id] = call, totals

    async def lose_answer(self, gateway) -> None:
        """Redis may have admitted it; the gateway only knows that it asked."""
        call = await self.ask_for(gateway)
        if call is not None:
            self.owner[call.call_id] = gateway
            gateway.lost[call.call_id] = call

    async def undo(self, gateway) -> None:
        for call_id in list(gateway.lost):
            del gateway.lost[call_id]
            reply = (await self.script(SCRIPTS.release, call_id.hex)).decode()
            now = max(await self.bucket_at("rpm"), await self.bucket_at("tpm"))
            assert reply == self.reference.release(call_id, hour=self.hour, now=now)

    async def extend(self, gateway) -> None:
        if not gateway.open:
            return
        call = gateway.open[self.random.choice(sorted(gateway.open))]
        more = self.new_totals()
        totals = Totals(
            call.totals.price + more.price,
            call.totals.tokens + more.tokens,
            1,
            call.totals.overage + more.overage,
            call.totals.rate,
        )
        packed = f"{call.call_id.hex}|{PATIENCE_MS}|{words(totals)}|{call.packed()}"
        reply = (await self.script(SCRIPTS.extend, packed, b"|report|")).decode()
        expected = self.reference.extend(call.call_id, totals, call.known, run=self.run, hour=self.hour)
        assert reply == expected, f"{reply}, not {expected}"
        if reply.startswith("ok"):
            self.account_for_missing(gateway)
            self.calls[call.call_id] = gateway.open[call.call_id] = replace(
                call, totals=totals, split=self.reference.entries[call.call_id]["split"]
            )

    def account_for_missing(self, _gateway) -> None:
        """What gateways have not re-entered when a call is admitted is the stated bound (rule 30)."""
        missing = {call for call in self.forgotten if self.owner[call].entered != self.run or call in self.holds}
        for call in missing:
            self.forgive(self.forgotten.pop(call))

    def forgive(self, split) -> None:
        for unit, amount in by_unit(split).items():
            self.slack[unit] += amount

    async def end(self, gateway) -> None:
        if not gateway.open:
            return
        call = gateway.open.pop(self.random.choice(sorted(gateway.open)))
        if not self.kafka_up:
            return  # it cannot be stored: the call is left to the sweeper
        totals = self.below(call.totals)
        self.kafka.append((call.call_id, "completed", totals, call.split))
        gateway.ended[call.call_id] = call, totals

    async def settle(self, gateway, call=None) -> None:
        if not gateway.ended:
            return
        known, totals = gateway.ended.pop(call or self.random.choice(sorted(gateway.ended)))
        packed = f"{known.call_id.hex}|60000|{words(totals)}|{known.packed()}"
        reply = (await self.script(SCRIPTS.settle, packed, b"|report|")).decode()
        now = await self.bucket_at("tpm")
        assert reply == self.reference.settle(known.call_id, totals, known.known, hour=self.hour, now=now)

    async def beat(self, gateway) -> None:
        calls = list(gateway.open.values())
        if calls:
            expected = [self.reference.keep(call.call_id, call.known, hour=self.hour) for call in calls]
            said = [word for call in calls for word in (f"{call.call_id.hex}|{call.packed()}", b"|report|")]
            states = [state.decode() for state in await self.script(SCRIPTS.keep, PATIENCE_MS, *said)]
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
        version, grants, debt, plan, applied = snapshot
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
        await self.script(SCRIPTS.apply, "1" if reload else "0", *snapshot_words(self.with_plan(event, plan)))
        self.reference.apply(snapshot, run=self.run, reload=reload, hour=self.hour)

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

    async def change_plan(self, _gateway) -> None:
        # What a request covers and whether excess is free change under calls that are open.
        self.changed_plan = True
        self.snapshots.append(self.ledger.change(self.new_plan(f"d{self.ledger.version + 1}")))

    async def pass_time(self, _gateway) -> None:
        self.hour += 1

    async def toggle_kafka(self, _gateway) -> None:
        self.kafka_up = not self.kafka_up

    async def kill(self, gateway) -> None:
        gateway.alive, gateway.paused = False, False
        gateway.open.clear()
        gateway.ended.clear()
        gateway.lost.clear()

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
        found = {UUID(hex=flat[at].decode()): flat[at + 1].decode() for at in range(0, len(flat), 5)}
        assert found == expected
        for call, was in found.items():
            if was != "ended" and call not in self.ledger.booked:
                self.kafka.append((call, "orphaned", NOTHING, self.calls[call].split))
            if was == "held" and call in self.owner[call].open:
                self.forgive(self.calls[call].split)  # swept too early: rule 14's bound
            self.holds.pop(call, None)

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
        gone = {call: entry["split"] for call, entry in self.reference.entries.items() if call not in reference.entries}
        # A hold that grew after the copy was made is missing by as much.
        gone |= {
            call: entry["split"]
            for call, entry in self.reference.entries.items()
            if call in reference.entries and reference.entries[call]["split"] != entry["split"]
        }
        self.forgotten |= gone
        self.ever_forgotten |= set(gone)
        self.reference = reference
        self.run_number += 1
        for call in set(self.holds) - set(reference.entries):
            del self.holds[call]  # nobody enters it again, and nobody can confirm it

    async def rest(self) -> None:
        """Everything that can happen happens; then nothing is left but the truth."""
        self.kafka_up = True
        for gateway in self.gateways:
            gateway.paused = False
            await self.start(gateway)
            await self.enter(gateway)
            await self.undo(gateway)
            while gateway.open:
                await self.end(gateway)
            for call in list(gateway.ended):
                await self.settle(gateway, call)
        await self.reload()
        for _ in range(3):
            self.hour += 2
            await self.sweep()
            await self.book(upto=len(self.kafka))
            await self.ask(None)
        await self.check_same()
        assert not self.reference.entries, self.reference.entries
        assert not await self.counts(2)
        assert not await self.counts(4)
        assert self.reference.free(self.hour)[0] == self.ledger.balance(self.hour)
        # Redis and a gateway lost together: the stated exception, until there is a journal.
        assert set(self.owner) - set(self.ledger.booked) <= self.ever_forgotten

    async def forget_all(self) -> None:
        await self.redis.attempt(lambda session: session.command("DEL", *self.keys))
