"""Settings of the sandbox that tests and people turn while it runs; they outlive a restart like everything else."""

from sandbox.stripe.store import Store


class Switches:
    """Reads and writes them in the store's open transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def webhook_url(self) -> str | None:
        url: str | None = self._store.find_switch("webhook_url")
        return url

    @property
    def paused(self) -> bool:
        return bool(self._store.find_switch("paused"))

    @property
    def duplicates(self) -> int:
        """Extra copies of every event."""
        return int(self._store.find_switch("duplicate") or 0)

    @property
    def shuffled(self) -> bool:
        return bool(self._store.find_switch("shuffle"))

    @property
    def late_fees(self) -> bool:
        """Whether a charge learns its balance transaction only later, as Stripe's asynchronous capture does."""
        return bool(self._store.find_switch("late_fees"))

    @property
    def dunning_ends(self) -> str:
        """What becomes of a subscription when the last try at its invoice fails: `cancel`, `unpaid` or `past_due`."""
        return str(self._store.find_switch("dunning_ends") or "cancel")

    @property
    def ahead_s(self) -> int:
        """How far the stand-in's time is ahead of its clock."""
        return int(self._store.find_switch("ahead_s") or 0)

    def set(self, name: str, value: bool | int | str | None) -> None:  # noqa: FBT001 - a JSON value
        self._store.set_switch(name, value)

    def shown(self) -> dict[str, bool | int | str | None]:
        return {
            "url": self.webhook_url,
            "paused": self.paused,
            "duplicate": self.duplicates,
            "shuffle": self.shuffled,
            "late_fees": self.late_fees,
            "dunning_ends": self.dunning_ends,
            "ahead_s": self.ahead_s,
        }
