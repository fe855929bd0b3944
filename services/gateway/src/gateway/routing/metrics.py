"""Routing's metrics; labels hold the operator's names only."""

from typing import Final

from prometheus_client import Counter, Gauge

OUTCOMES: Final = Counter(
    "faregate_provider_outcomes_total", "Tries at a provider by how they ended.", ["route", "credential", "outcome"]
)
STATE: Final = Gauge(
    "faregate_provider_state", "0 serving, 1 cooling, 2 broken.", ["route", "credential"], multiprocess_mode="livemax"
)
CONFIG_LOADS: Final = Counter("faregate_routing_loads_total", "Configurations by what became of them.", ["result"])
CONFIG_PROBLEMS: Final = Gauge(
    "faregate_routing_problems", "Wrong places in what is not in use.", multiprocess_mode="livemax"
)
UNKNOWN_ROUTE_SETS: Final = Counter(
    "faregate_unknown_route_sets_total", "Calls of plans whose route set is not configured."
)
