"""Which event still has to reach the webhook address, and how each try went."""

import secrets
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

COLUMNS = "id, event_id, event_type, state, tries, due_at, status, problem"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of an event on its way: `pending`, `delivered` or `failed` (given up)."""

    id: str
    event_id: str
    event_type: str
    state: str
    tries: int
    due_at: float
    status: int | None
    problem: str | None

    def shown(self) -> dict[str, Any]:
        return asdict(self)


class Deliveries:
    """Reads and writes the delivery table inside the store's transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, event: dict[str, Any]) -> str:
        """A copy that is due at once, whatever the clock of the sandbox says."""
        ident = f"whd_{secrets.token_hex(12)}"
        self._connection.execute(
            "INSERT INTO delivery (id, event_id, event_type, state, tries, due_at) VALUES (?, ?, ?, 'pending', 0, 0)",
            (ident, event["id"], event["type"]),
        )
        return ident

    def list_due(self, now: float, *, limit: int) -> list[Delivery]:
        return self._select("state = 'pending' AND due_at <= ? ORDER BY due_at, rowid LIMIT ?", now, limit)

    def list_for(self, event_id: str) -> list[Delivery]:
        return self._select("event_id = ? ORDER BY rowid", event_id)

    def list_all(self, *, limit: int) -> list[Delivery]:
        return self._select("1 ORDER BY rowid DESC LIMIT ?", limit)

    def find_next_due_at(self, *, after: float) -> float | None:
        sql = "SELECT min(due_at) FROM delivery WHERE state = 'pending' AND due_at > ?"
        due_at: float | None = self._connection.execute(sql, (after,)).fetchone()[0]
        return due_at

    def count_pending(self, event_id: str) -> int:
        row = self._connection.execute(
            "SELECT count(*) FROM delivery WHERE event_id = ? AND state = 'pending'", (event_id,)
        ).fetchone()
        return int(row[0])

    def save(self, delivery: Delivery) -> None:
        self._connection.execute(
            "UPDATE delivery SET state = ?, tries = ?, due_at = ?, status = ?, problem = ? WHERE id = ?",
            (delivery.state, delivery.tries, delivery.due_at, delivery.status, delivery.problem, delivery.id),
        )

    def _select(self, condition: str, *values: Any) -> list[Delivery]:
        sql = f"SELECT {COLUMNS} FROM delivery WHERE {condition}"  # noqa: S608 - conditions are ours
        return [Delivery(*row) for row in self._connection.execute(sql, values).fetchall()]
