"""What must hold between Redis, its reference, the books and the gateways after each step of a schedule."""

from typing import Any
from uuid import UUID

from rating.burning import Room, Value, burn

from .reference import UNITS, Reference, Split, split_text, taken
from .reference_ledger import Ledger, room_of
from .world_parts import SCRIPTS, Call, Gateway, words


class Checks:
    """Looks into Redis past the scripts."""

    redis: Any
    keys: tuple[str, ...]
    reference: Reference
    ledger: Ledger
    gateways: list[Gateway]
    holds: dict[UUID, Call]
    kafka: list
    slack: dict[str, int]
    changed_plan: bool

    def outstanding(self) -> dict[UUID, int]:
        """What customers may still cost, by slice: open calls at their hold, ended ones that are not booked."""
        total: dict[UUID, int] = {}
        final = {call for call, (outcome, _) in self.ledger.booked.items() if outcome != "orphaned"}
        held = [call for gateway in self.gateways for call in gateway.open.values()] + list(self.holds.values())
        splits = [call.split for call in held if call.call_id not in final]
        for _, outcome, totals, split in self.kafka[self.ledger.offset :]:
            if outcome != "orphaned":
                splits.append(self.within(totals, split))
        for split in splits:
            for slice_id, _, amount in split:
                total[slice_id] = total.get(slice_id, 0) + amount
        return total

    def within(self, totals, split) -> Split:
        """What the books will burn of an allocation."""
        value = Value(totals.tokens, totals.price, totals.overage, totals.requests)
        most = self.ledger.plan.most_request
        paid = burn(value, Room(**room_of(split)), request_max_price_nano=most)
        amounts = {"r": paid.requests, "t": paid.tokens, "c": paid.credit_nano, "o": paid.overage_nano}
        return taken(amounts, split)

    async def check(self) -> None:
        await self.check_same()
        over = dict.fromkeys(UNITS, 0)
        outstanding = self.outstanding()
        for grant in self.ledger.grants:
            over[grant.unit] += max(0, outstanding.get(grant.slice_id, 0) - grant.amount)
        over["c"] += self.ledger.debt
        if self.changed_plan:
            return
        if self.ledger.plan.policy == "warn":
            # The excess is free, and takes what others hold; nothing is ever owed for it.
            assert self.ledger.debt <= self.slack["c"], f"debt {self.ledger.debt}"
            return
        displaced = any(self.slack[unit] for unit in "rto")
        for unit, allowed in self.slack.items():
            assert over[unit] <= allowed or (displaced and unit in "co"), f"{unit}: {over[unit]} over {allowed}"

    async def check_same(self) -> None:
        calls = await self.redis.attempt(lambda session: session.command("HGETALL", self.keys[1]))
        entries = {}
        for call, entry in zip(calls[::2], calls[1::2], strict=True):
            fields = entry.decode().split("|", 16)
            assert fields[16] == "|report|"
            entries[UUID(hex=call.decode())] = fields[0], fields[15], "|".join(fields[6:11])
        assert entries == {
            call: (entry["state"], split_text(entry["split"]), words(entry["totals"]))
            for call, entry in self.reference.entries.items()
        }
        assert await self.counts(2) == {f"{s}:{unit}": amount for (s, unit), amount in self.reference.used().items()}
        assert await self.counts(4) == self.reference.counted()
        await self.check_buckets()
        reply = await self.script(SCRIPTS.standing)
        if reply[0] == b"reload":
            assert self.reference.built != self.run or self.reference.version is None
        else:
            shown = dict(zip(UNITS, (int(amount) for amount in reply[4][::3]), strict=True))
            assert shown == self.reference.free(self.hour)[0]

    async def counts(self, key) -> dict[str, int]:
        flat = await self.redis.attempt(lambda session: session.command("HGETALL", self.keys[key]))
        return {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}

    async def check_buckets(self) -> None:
        rates = await self.redis.attempt(lambda session: session.command("HGET", self.keys[0], "rates"))
        rpm_used, rpm_at, tpm_used, tpm_at = map(int, (rates or b"0|0|0|0").split(b"|"))
        assert ((rpm_used, rpm_at), (tpm_used, tpm_at)) == (self.reference.rpm, self.reference.tpm)
