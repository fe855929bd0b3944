"""Gauges as `/metrics` shows them for several workers: those of a dead one must not stand there for ever."""

import pytest
from prometheus_client import REGISTRY, Gauge

import gateway.app

assert gateway.app

GAUGES = {
    name: collector
    for collector, names in REGISTRY._collector_to_names.items()
    if isinstance(collector, Gauge)
    for name in names
    if name.startswith("faregate_")
}


def test_there_are_gauges_of_every_part():
    assert {"faregate_spool_oldest_seconds", "faregate_provider_state", "faregate_calls_open"} <= GAUGES.keys()


@pytest.mark.parametrize("name", sorted(GAUGES))
def test_a_gauge_of_a_dead_worker_counts_no_more(name: str):
    mode = GAUGES[name]._multiprocess_mode

    assert mode in {"livesum", "livemin", "livemax"}, f"{name} is shown by {mode}"
