"""The gateway's own metrics; labels never hold ids, models come from the price book only."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CALLS: Final = Counter("faregate_calls_total", "Admitted calls by how they ended.", ["outcome", "basis"])
CALLS_REFUSED: Final = Counter("faregate_calls_refused_total", "Calls answered by the gateway itself.", ["reason"])
CALLS_OPEN: Final = Gauge("faregate_calls_open", "Calls between admission and end.", multiprocess_mode="livesum")
USAGE_STORED: Final = Counter("faregate_usage_events_total", "Usage events by what became of them.", ["result"])
FIRST_BYTE_SECONDS: Final = Histogram(
    "faregate_first_byte_seconds", "From the request's head to the first byte for the client.", ["streamed"]
)
UPSTREAM_STATUS: Final = Counter("faregate_upstream_answers_total", "The provider's answers.", ["status"])
KAFKA_UP: Final = Gauge(
    "faregate_gateway_kafka_up", "Whether Kafka answered the last probe.", multiprocess_mode="livemin"
)
KEYS_RESOLVED: Final = Counter("faregate_api_keys_resolved_total", "API keys asked of auth.", ["result"])
CREDENTIALS_RECHECKED: Final = Counter(
    "faregate_credentials_rechecked_total", "Credentials asked of auth while Kafka was silent.", ["result"]
)
REQUESTS_REFUSED: Final = Counter(
    "faregate_requests_refused_total", "Requests that ended before anybody answered them, by reason.", ["reason"]
)
