"""What admission costs; printed with `-s`, judged by nobody here."""

import asyncio
import statistics
import time

CALLS = 2000


async def test_the_cost_of_a_decision_is_measured(gateways, ledger, call):
    admission = await gateways.make(most_entries=100_000)
    lines = []
    for entries in (0, 1000):
        books = ledger.open(10**15, 10**15, 10**15)
        for _ in range(entries):
            await admission.admit(call(books.account_id, 1000))
        lines += await measure(admission, books, call, gateways, entries)

    print("\n" + "\n".join(lines))  # noqa: T201


async def measure(admission, books, call, gateways, entries):
    requests = [call(books.account_id, 123_456_789) for _ in range(CALLS)]
    await gateways.redis("CONFIG", "RESETSTAT")
    cpu, began, took = time.process_time(), time.perf_counter(), []
    for request in requests:
        start = time.perf_counter()
        await admission.admit(request)
        await admission.settle(account_id=books.account_id, call_id=request.call_id, price_nano=99)
        took.append(time.perf_counter() - start)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    stats = (await gateways.redis("INFO", "commandstats")).decode()
    script_us = next(line for line in stats.splitlines() if line.startswith("cmdstat_evalsha:")).split(
        "usec_per_call="
    )[1]
    more = [call(books.account_id, 1) for _ in range(CALLS)]
    together = time.perf_counter()
    await asyncio.gather(*(admission.admit(request) for request in more))
    together = time.perf_counter() - together
    p99 = statistics.quantiles(took, n=100)[98]
    return [
        f"{entries} entries, admit + settle: p50 {statistics.median(took) * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us",
        f"{entries} entries, calls one after the other: {CALLS / elapsed:.0f}/s",
        f"{entries} entries, admissions together: {CALLS / together:.0f}/s",
        f"{entries} entries, our CPU per call: {cpu / CALLS * 1e6:.0f} us",
        f"{entries} entries, Redis per script: {script_us.split(',')[0]} us",
    ]
