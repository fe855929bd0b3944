"""The checks of `verify`, a span of accounts at a time: each names the rows that do not agree with the others."""

# ruff: noqa: E501, S608  # statements, made of our own texts

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.domain.chain import GENESIS, link
from ledger.domain.transfers import Transfer
from ledger.domain.verification import Finding, Span

_SPAN: Final = "account_id >= :first AND (account_id < :end OR CAST(:end AS uuid) IS NULL)"
_INSTANT: Final = """replace(to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), '.000000', '')"""
_OPTIONAL: Final = "coalesce('\"' || {0} || '\"', 'null')"
# The canonical bytes of `domain/chain.py`, put together by the database; what differs is looked at again in Python.
_CANONICAL: Final = f"""
'["' || account_id || '",' || seq || ',' || to_json(source) || ',' || to_json(target) || ',"' || unit || '",' || amount
|| ',"' || kind || '",' || {_OPTIONAL.format("charge_id")} || ',' || {_OPTIONAL.format("grant_id")} || ','
|| coalesce(to_json(reference)::text, 'null') || ',' || coalesce(balance_after::text, 'null')
|| ',"' || {_INSTANT.format("booked_at")} || '","' || {_INSTANT.format("effective_at")} || '"]'
"""
_ROW: Final = ", ".join(Transfer._fields)
CHAIN: Final = f"""
WITH linked AS (
    SELECT *, lag(seq, 1, 0::bigint) OVER chain AS seq_before, lag(hash) OVER chain AS hash_before
    FROM transfer WHERE {_SPAN} WINDOW chain AS (PARTITION BY account_id ORDER BY seq)
)
SELECT seq_before, hash_before, hash, {_ROW} FROM linked
WHERE seq <> seq_before + 1 OR hash IS NULL OR hash <> sha256(
    '\\x01'::bytea || coalesce(hash_before, decode(repeat('00', 32), 'hex')) || convert_to({_CANONICAL}, 'UTF8'))
ORDER BY account_id, seq LIMIT 10000
"""
HEADS: Final = f"""
WITH last AS (
    SELECT account_id, count(*) AS number, max(seq) AS newest FROM transfer WHERE {_SPAN} GROUP BY account_id
), standing AS (SELECT * FROM account WHERE id >= :first AND (id < :end OR CAST(:end AS uuid) IS NULL))
SELECT 'head', coalesce(a.id, l.account_id), format('account %s', coalesce(a.id, l.account_id)),
    CASE WHEN a.id IS NULL THEN format('is not there, and has %s transfers', l.number)
    WHEN a.transfer_seq IS DISTINCT FROM coalesce(l.newest, 0) OR coalesce(l.number, 0) <> a.transfer_seq
    THEN format('stands at transfer %s, it has %s up to %s', a.transfer_seq, coalesce(l.number, 0), coalesce(l.newest, 0))
    ELSE format('has another head than its newest transfer %s', l.newest) END
FROM standing AS a FULL JOIN last AS l ON l.account_id = a.id
LEFT JOIN transfer AS t ON t.account_id = l.account_id AND t.seq = l.newest
WHERE a.id IS NULL OR a.transfer_seq <> coalesce(l.newest, 0) OR a.transfer_seq <> coalesce(l.number, 0)
    OR a.head IS DISTINCT FROM t.hash
"""
# Grants, debts, and what all ledger accounts together come to: customers' side as it stands in rows, the platform's as
# its transfers say. One walk through the transfers for the three.
BALANCES: Final = f"""
WITH balances AS MATERIALIZED (
    SELECT account_id, name, unit, sum(amount) AS balance FROM (
        SELECT account_id, target AS name, unit, amount FROM transfer WHERE {_SPAN}
        UNION ALL SELECT account_id, source, unit, -amount FROM transfer WHERE {_SPAN}
    ) AS sides GROUP BY account_id, name, unit
), grants AS MATERIALIZED (SELECT * FROM "grant" WHERE {_SPAN}
), accounts AS MATERIALIZED (
    SELECT id, debt_nano FROM account WHERE id >= :first AND (id < :end OR CAST(:end AS uuid) IS NULL)
)
SELECT 'grant', coalesce(g.account_id, b.account_id), coalesce('grant ' || g.id, replace(b.name, ':', ' ')),
    CASE WHEN g.id IS NULL THEN format('is not there, its transfers leave %s', b.balance)
    ELSE format('has %s %s left, its transfers leave %s', g.remaining, g.unit, coalesce(b.balance, 0)) END
FROM grants AS g FULL JOIN (SELECT * FROM balances WHERE name LIKE 'grant:%') AS b
    ON b.name = 'grant:' || g.id AND b.unit = g.unit AND b.account_id = g.account_id
WHERE g.remaining IS DISTINCT FROM coalesce(b.balance, 0) AND NOT (g.id IS NULL AND b.balance = 0)
UNION ALL
SELECT 'debt', a.id, format('account %s', a.id),
    format('owes %s, its transfers say %s', a.debt_nano, -coalesce(b.balance, 0))
FROM accounts AS a
LEFT JOIN balances AS b ON b.name = 'debt:' || a.id AND b.account_id = a.id AND b.unit = 'credit'
WHERE a.debt_nano <> -coalesce(b.balance, 0)
UNION ALL
SELECT 'sum', NULL, unit, sum(amount)::text FROM (
    SELECT unit, remaining AS amount FROM grants
    UNION ALL SELECT 'credit', -debt_nano FROM accounts
    UNION ALL SELECT unit, balance FROM balances WHERE name NOT LIKE 'grant:%' AND name NOT LIKE 'debt:%'
) AS sides GROUP BY unit
"""
CHARGES: Final = f"""
WITH moved AS (
    SELECT account_id, charge_id,
        coalesce(sum(amount) FILTER (WHERE kind = 'deduction' AND unit = 'credit'), 0) AS price,
        coalesce(sum(amount) FILTER (WHERE kind = 'deduction' AND unit = 'token'), 0) AS tokens,
        coalesce(sum(amount) FILTER (WHERE kind = 'deduction' AND unit = 'request'), 0) AS requests,
        coalesce(sum(CASE kind WHEN 'cost' THEN amount WHEN 'cost_reversal' THEN -amount END), 0) AS cost
    FROM transfer WHERE {_SPAN} AND charge_id IS NOT NULL GROUP BY account_id, charge_id
), booked AS (
    SELECT account_id, id, price_nano AS price, cost_nano AS cost, plan_tokens, plan_requests FROM charge WHERE {_SPAN}
)
SELECT 'charge', coalesce(c.account_id, m.account_id), format('charge %s', coalesce(c.id, m.charge_id)),
    CASE WHEN c.id IS NULL THEN format('is not there, its transfers say %s at a cost of %s', m.price, m.cost)
    ELSE format('is %s at a cost of %s (and %s tokens, %s requests), its transfers say %s and %s (%s, %s)', c.price,
        c.cost, c.plan_tokens, c.plan_requests, coalesce(m.price, 0), coalesce(m.cost, 0), coalesce(m.tokens, 0),
        coalesce(m.requests, 0)) END
FROM booked AS c FULL JOIN moved AS m ON m.account_id = c.account_id AND m.charge_id = c.id
WHERE (c.id IS NULL AND (m.price, m.tokens, m.requests, m.cost) <> (0, 0, 0, 0))
    OR c.price <> coalesce(m.price, 0) OR c.cost <> coalesce(m.cost, 0)
    OR c.plan_tokens <> coalesce(m.tokens, 0) OR c.plan_requests <> coalesce(m.requests, 0)
"""
DETAILS: Final = f"""
SELECT 'detail', coalesce(c.account_id, d.account_id), format('call %s', coalesce(c.id, d.id)),
    CASE WHEN c.id IS NULL THEN 'has usage detail and no charge' WHEN d.id IS NULL THEN 'has a charge and no usage detail'
    ELSE format('ended as %s in its charge and as %s in its detail', c.outcome, d.outcome) END
FROM (SELECT account_id, id, outcome FROM charge WHERE {_SPAN}) AS c
FULL JOIN (SELECT account_id, id, outcome FROM usage_detail WHERE {_SPAN}) AS d USING (account_id, id)
WHERE c.id IS NULL OR c.outcome <> d.outcome OR d.id IS NULL AND NOT EXISTS (
    SELECT FROM archive_manifest AS a WHERE a.state = 'dropped' AND c.id >= a.first_id AND c.id < a.end_id)
"""
DAYS: Final = f"""
WITH corrected AS (
    SELECT DISTINCT ON (account_id, call_id) account_id, call_id, price_nano, cost_nano
    FROM charge_correction WHERE {_SPAN} ORDER BY account_id, call_id, n DESC
), booked AS (
    SELECT c.account_id, (c.admitted_at AT TIME ZONE 'UTC')::date AS day, coalesce(c.plan_id, '') AS plan_id, c.model,
        count(*) AS calls, sum(coalesce(n.price_nano, c.price_nano)) AS price,
        sum(coalesce(n.cost_nano, c.cost_nano)) AS cost
    FROM (SELECT * FROM charge WHERE {_SPAN}) AS c
    LEFT JOIN corrected AS n ON n.account_id = c.account_id AND n.call_id = c.id GROUP BY 1, 2, 3, 4
), counted AS (
    SELECT account_id, day, plan_id, model, sum(calls) AS calls, sum(price_nano) AS price, sum(cost_nano) AS cost
    FROM usage_day WHERE {_SPAN} GROUP BY 1, 2, 3, 4
)
SELECT 'day', account_id, format('day %s of account %s, plan %s, model %s', day, account_id, plan_id, model),
    format('counts %s calls for %s at a cost of %s, its charges say %s, %s and %s', coalesce(u.calls, 0),
        coalesce(u.price, 0), coalesce(u.cost, 0), coalesce(c.calls, 0), coalesce(c.price, 0), coalesce(c.cost, 0))
FROM booked AS c FULL JOIN counted AS u USING (account_id, day, plan_id, model)
WHERE (coalesce(c.calls, 0), coalesce(c.price, 0), coalesce(c.cost, 0))
    <> (coalesce(u.calls, 0), coalesce(u.price, 0), coalesce(u.cost, 0))
"""
# A correction moves the difference to the one before it, by the transfers that it names; less than a reduction only
# where the call had been given back before.
CORRECTIONS: Final = f"""
WITH listed AS (
    SELECT *, lag(n, 1, 0) OVER rows AS n_before, lag(price_nano) OVER rows AS price_before,
        lag(cost_nano) OVER rows AS cost_before
    FROM charge_correction WHERE {_SPAN} WINDOW rows AS (PARTITION BY account_id, call_id ORDER BY n)
), expected AS (
    SELECT l.account_id, l.call_id, l.n, l.n_before, l.first_seq, l.last_seq, l.run_id, c.id,
        l.price_nano - coalesce(l.price_before, c.price_nano) AS price, l.cost_nano - coalesce(l.cost_before, c.cost_nano) AS cost
    FROM listed AS l LEFT JOIN charge AS c ON c.account_id = l.account_id AND c.id = l.call_id
), moved AS (
    SELECT e.account_id, e.call_id, e.n,
        coalesce(sum(CASE t.kind WHEN 'correction' THEN amount WHEN 'reversal' THEN -amount END), 0) AS price,
        coalesce(sum(CASE WHEN t.kind <> 'cost_correction' THEN 0 WHEN t.target = 'provider' THEN amount ELSE -amount END), 0) AS cost
    FROM expected AS e
    LEFT JOIN transfer AS t ON t.account_id = e.account_id AND t.seq BETWEEN e.first_seq AND e.last_seq
        AND t.reference = 'rerate:' || e.run_id GROUP BY 1, 2, 3
), strays AS (
    SELECT t.account_id, t.seq FROM transfer AS t
    WHERE {_SPAN} AND t.kind IN ('correction', 'cost_correction') AND NOT EXISTS (
        SELECT FROM charge_correction AS k WHERE k.account_id = t.account_id AND k.call_id = t.charge_id
            AND t.seq BETWEEN k.first_seq AND k.last_seq)
)
SELECT 'correction', account_id, format('correction %s of charge %s', e.n, call_id),
    CASE WHEN e.id IS NULL THEN 'corrects a charge that is not there'
    WHEN e.n <> e.n_before + 1 THEN format('follows correction %s: what was between is gone', e.n_before)
    ELSE format('changes the price by %s and the cost by %s, its transfers moved %s and %s', e.price, e.cost, m.price, m.cost) END
FROM expected AS e JOIN moved AS m USING (account_id, call_id, n)
WHERE e.id IS NULL OR e.n <> e.n_before + 1 OR e.cost <> m.cost
    OR e.price <> m.price AND NOT (e.price < m.price AND m.price <= 0 AND EXISTS (
        SELECT FROM transfer AS t WHERE t.account_id = e.account_id AND t.charge_id = e.call_id AND t.kind = 'reversal'
            AND t.seq < e.first_seq))
UNION ALL
SELECT 'correction', account_id, format('transfer %s of account %s', seq, account_id), 'corrects a call, and no correction names it'
FROM strays
"""
SEALS: Final = f"""
SELECT 'seal', s.account_id, format('seal of account %s on %s', s.account_id, s.day),
    CASE WHEN t.seq IS NULL THEN format('names transfer %s, which is not there', s.sequence)
    ELSE format('has another hash than transfer %s', s.sequence) END
FROM (SELECT * FROM sealed_head WHERE {_SPAN}) AS s
LEFT JOIN transfer AS t ON t.account_id = s.account_id AND t.seq = s.sequence
WHERE t.hash IS DISTINCT FROM s.hash
"""
TWICE: Final = """
SELECT 'twice', NULL::uuid, format('call %s', id), format('stands under %s accounts', count(*)) FROM {0}
GROUP BY id HAVING count(*) > 1 LIMIT 10000
"""
CHECKS: Final = (HEADS, CHARGES, CORRECTIONS, DETAILS, DAYS, SEALS)

SIZES: Final = f"""
SELECT (SELECT count(*) FROM account WHERE id >= :first AND (id < :end OR CAST(:end AS uuid) IS NULL)),
    (SELECT count(*) FROM charge WHERE {_SPAN}), (SELECT count(*) FROM transfer WHERE {_SPAN})
"""


async def list_spans(session: AsyncSession, *, accounts: int) -> list[Span]:
    """All that may stand in the books, cut at every so many accounts."""
    cuts: Sequence[UUID] = (
        await session.scalars(
            text(
                "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM account) AS a WHERE n % :accounts = 0"
            ),
            {"accounts": accounts},
        )
    ).all()
    starts = [UUID(int=0), *cuts]
    return [Span(first, end) for first, end in zip(starts, [*starts[1:], None], strict=True)]


async def list_charge_partitions(session: AsyncSession) -> list[str]:
    """An id lies in one partition, so that it stands twice in the same one or nowhere."""
    return list(
        (
            await session.scalars(text("SELECT relid::text FROM pg_partition_tree('charge') WHERE isleaf ORDER BY 1"))
        ).all()
    )


async def list_twice(session: AsyncSession, partition: str) -> list[Finding]:
    return [Finding(*row) for row in await session.execute(text(TWICE.format(partition)))]


async def check_span(session: AsyncSession, span: Span) -> AsyncIterator[list[Finding]]:
    """Findings, check by check; run it in one consistent read."""
    await session.execute(text("SET LOCAL work_mem = '128MB'"))
    await session.execute(text("SET LOCAL jit = off"))
    yield [one async for one in _broken_links(session, span)]
    for check in CHECKS:
        yield [Finding(*row) for row in await session.execute(text(check), _bounds(span))]


async def check_balances(session: AsyncSession, span: Span) -> tuple[list[Finding], dict[str, int]]:
    """Grants and debts that are not what their transfers say; per unit what all ledger accounts sum to."""
    rows = (await session.execute(text(BALANCES), _bounds(span))).all()
    found = [Finding(*row) for row in rows if row[0] != "sum"]
    return found, {row[2]: int(row[3]) for row in rows if row[0] == "sum"}


async def size_of(session: AsyncSession, span: Span) -> tuple[int, int, int]:
    """Accounts, charges and transfers."""
    row = (await session.execute(text(SIZES), _bounds(span))).one()
    return row[0], row[1], row[2]


async def _broken_links(session: AsyncSession, span: Span) -> AsyncIterator[Finding]:
    for row in await session.execute(text(CHAIN), _bounds(span)):
        seq_before, hash_before, found, *fields = row
        transfer = Transfer(*fields)
        subject = f"transfer {transfer.seq} of account {transfer.account_id}"
        if transfer.seq != seq_before + 1:
            yield Finding(
                "chain", transfer.account_id, subject, f"follows transfer {seq_before}: what was between is gone"
            )
        elif found is None:
            yield Finding("chain", transfer.account_id, subject, "has no hash: run `python -m ledger chain`")
        elif link(hash_before or GENESIS, transfer) != found:
            yield Finding("chain", transfer.account_id, subject, "is not what its hash says")


def _bounds(span: Span) -> dict[str, Any]:
    return {"first": span.first, "end": span.end}
