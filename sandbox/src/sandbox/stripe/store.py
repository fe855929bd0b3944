"""Everything the server remembers, in one SQLite file (or in memory): objects as JSON, deliveries, stored answers."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sandbox.stripe.due import due_at

Json: TypeAlias = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS object_by_kind ON object (kind, position);
CREATE TABLE IF NOT EXISTS delivery (
  id TEXT PRIMARY KEY, event_id TEXT NOT NULL, event_type TEXT NOT NULL, state TEXT NOT NULL,
  tries INTEGER NOT NULL, due_at REAL NOT NULL, status INTEGER, problem TEXT);
CREATE INDEX IF NOT EXISTS delivery_by_event ON delivery (event_id);
CREATE INDEX IF NOT EXISTS delivery_pending ON delivery (due_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS answer (
  key TEXT PRIMARY KEY, route TEXT NOT NULL, fingerprint TEXT NOT NULL, request_id TEXT NOT NULL,
  status INTEGER NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS due (id TEXT PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, clock TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS due_next ON due (clock, at);
CREATE TABLE IF NOT EXISTS switch (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an idempotency key was answered with the first time."""

    route: str
    fingerprint: str
    request_id: str
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Query:
    """Which objects of a kind are wanted: by field, by age and by place beside a cursor."""

    kind: str
    where: Mapping[str, Any]
    created: Mapping[str, int]
    limit: int
    before: int | None = None
    after: int | None = None


def _created(body: Json) -> int:
    """When an object was made; a few kinds call it otherwise."""
    instant: int = body.get("_created") or body.get("date") or body["created"]
    return instant


class Store:
    """One connection; the caller commits or rolls back, so a request leaves all of its changes or none."""

    def __init__(self, path: Path | None) -> None:
        self._connection = sqlite3.connect(path or ":memory:", isolation_level="DEFERRED")
        # Nothing here must outlive the machine, only the process: the kernel keeps what was written.
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {SCHEMA}")

    def close(self) -> None:
        self._connection.close()

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def insert(self, body: Json) -> None:
        self._connection.execute(
            "INSERT INTO object (id, kind, created, body) VALUES (?, ?, ?, ?)",
            (body["id"], body["object"], _created(body), json.dumps(body)),
        )
        self._schedule(body)

    def save(self, body: Json) -> None:
        self._connection.execute("UPDATE object SET body = ? WHERE id = ?", (json.dumps(body), body["id"]))
        self._schedule(body)

    def delete(self, ident: str) -> None:
        self._connection.execute("DELETE FROM object WHERE id = ?", (ident,))
        self._connection.execute("DELETE FROM due WHERE id = ?", (ident,))

    def _schedule(self, body: Json) -> None:
        at = due_at(body)
        if at is None:
            self._connection.execute("DELETE FROM due WHERE id = ?", (body["id"],))
            return
        row = (body["id"], body["object"], at, body.get("test_clock") or "")
        self._connection.execute("INSERT OR REPLACE INTO due (id, kind, at, clock) VALUES (?, ?, ?, ?)", row)

    def find_due(self, until: int, *, clock: str) -> tuple[int, str, str] | None:
        """The earliest instant at which something changes by itself, with the kind and id of what does."""
        row: tuple[int, str, str] | None = self._connection.execute(
            "SELECT at, kind, id FROM due WHERE clock = ? AND at <= ? ORDER BY at, rowid LIMIT 1", (clock, until)
        ).fetchone()
        return row

    def find(self, kind: str, ident: str) -> Json | None:
        row = self._connection.execute("SELECT body FROM object WHERE id = ? AND kind = ?", (ident, kind)).fetchone()
        return json.loads(row[0]) if row else None

    def find_position(self, kind: str, ident: str) -> int | None:
        row = self._connection.execute(
            "SELECT position FROM object WHERE id = ? AND kind = ?", (ident, kind)
        ).fetchone()
        return int(row[0]) if row else None

    def select(self, query: Query) -> list[Json]:
        """Newest first; beside `before` the nearest newer ones, still newest first."""
        clauses: list[str] = ["kind = ?"]
        values: list[Any] = [query.kind]
        for path, wanted in query.where.items():
            marks = wanted if isinstance(wanted, list) else [wanted]
            # A boolean in JSON reads as 1 or 0 in SQLite, which is also how the driver binds one.
            clauses.append(f"json_extract(body, '$.{path}') IN ({', '.join('?' * len(marks))})")
            values += marks
        for bound, instant in query.created.items():
            clauses.append(f"created {COMPARISONS[bound]} ?")
            values.append(instant)
        order = self._beside(query, clauses, values)
        sql = f"SELECT body FROM object WHERE {' AND '.join(clauses)} ORDER BY position {order} LIMIT ?"  # noqa: S608 - paths and bounds are ours
        rows = self._connection.execute(sql, (*values, query.limit)).fetchall()
        bodies = [json.loads(row[0]) for row in rows]
        return bodies if order == "DESC" else bodies[::-1]

    def _beside(self, query: Query, clauses: list[str], values: list[Any]) -> str:
        if query.before is not None:
            clauses.append("position > ?")
            values.append(query.before)
            return "ASC"
        if query.after is not None:
            clauses.append("position < ?")
            values.append(query.after)
        return "DESC"

    def select_all(self, kind: str, **where: Any) -> list[Json]:
        return self.select(Query(kind=kind, where=where, created={}, limit=-1))

    def find_answer(self, key: str) -> Answer | None:
        row = self._connection.execute(
            "SELECT route, fingerprint, request_id, status, body FROM answer WHERE key = ?", (key,)
        ).fetchone()
        return Answer(*row) if row else None

    def insert_answer(self, key: str, answer: Answer, *, created: int) -> None:
        self._connection.execute(
            "INSERT INTO answer (key, created, route, fingerprint, request_id, status, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, created, *astuple(answer)),
        )

    def delete_answers_before(self, instant: int) -> None:
        self._connection.execute("DELETE FROM answer WHERE created < ?", (instant,))

    def find_switch(self, name: str) -> Any:
        row = self._connection.execute("SELECT value FROM switch WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_switch(self, name: str, value: Any) -> None:
        self._connection.execute("INSERT OR REPLACE INTO switch VALUES (?, ?)", (name, json.dumps(value)))

    @property
    def connection(self) -> sqlite3.Connection:
        """For the deliveries' own queries, which share these transactions."""
        return self._connection
