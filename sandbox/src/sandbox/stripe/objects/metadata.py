"""Stripe's own rule for words that callers attach to objects."""


def merged(current: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
    """New keys are added, empty values remove theirs, and None removes all."""
    if change is None:
        return {}
    return {key: value for key, value in {**current, **change}.items() if value != ""}


def fresh(metadata: dict[str, str] | None) -> dict[str, str]:
    return merged({}, metadata or {})
