"""Faults of our own, recorded by kind and place only: a traceback with its values would hold prompts."""

from kit import logging

log = logging.get(__name__)


def record_fault(event: str, error: BaseException, **facts: str) -> None:
    """Log where it was thrown."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f"{at.tb_frame.f_globals.get('__name__')}:{at.tb_lineno}" if at is not None else ""
    log.error(event, kind=type(error).__name__, place=place, **facts)
