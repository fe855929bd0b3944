"""Structured logs in JSON; what could hold a secret or an address is struck out."""

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import structlog

_SECRET_WORDS: Final = (
    "password",
    "secret",
    "token",
    "authorization",
    "api_key_value",
    "email",
    "address",
    "prompt",
    "body",
    "cookie",
)
_STRUCK: Final = "[struck out]"
# The last line of defence, for texts that others wrote: e-mail addresses, our keys, providers' keys, JWTs.
_SECRET_SHAPES: Final = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]+|\bfg_(?:live|test)_\w+|\b(?:sk|rk|whsec)[-_][\w-]{8,}|\beyJ[\w-]+\.[\w.-]+"
)


_QUIET_S: Final = 10.0
_MESSAGES_KNOWN: Final = 1000


class OnceInAWhile(logging.Filter):
    """Lets each message of a library through once in ten seconds and says how often it was said meanwhile.

    A client whose server is away says so at every attempt of each of its tasks, which hides all else.
    """

    def __init__(self, library: str, *, seconds: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._prefix = library
        self._seconds = seconds
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(self._prefix):
            return True
        key, now = (record.name, str(record.msg)), self._seconds()
        said_at, held_back = self._said.get(key, (-_QUIET_S, 0))
        if now - said_at < _QUIET_S:
            self._said[key] = said_at, held_back + 1
            return False
        if len(self._said) >= _MESSAGES_KNOWN:
            self._said.clear()
        self._said[key] = now, 0
        if held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} more like it)", None
        return True


def configure(service: str, level: str = "INFO") -> None:
    """Set up logging of this process, once: JSON lines on standard error, foreign loggers included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _strike_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OnceInAWhile("aiokafka"))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in (
        "aiokafka",
        "faststream",
        "httpx2",
        "httpx",
        "httpcore",
        "httpcore2",
        "stripe",
        "uvicorn.access",
        "alembic",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _strike_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = _STRUCK if name != "event" and _is_secret(name) else _struck(value)
    return event


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _struck(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_SHAPES.sub(_STRUCK, value)
    if isinstance(value, Mapping):
        return {name: _STRUCK if _is_secret(str(name)) else _struck(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_struck(one) for one in value]
    return value


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; event names are past tense and dotted (`ledger.batch_applied`)."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
