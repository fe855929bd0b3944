"""Whether somebody asks with a browser: the page is for those who prefer it to JSON, not for whoever takes anything."""


def prefers_html(accept: str) -> bool:
    """Whether `text/html` is named, and not after JSON."""
    weights = dict(map(_weighed, accept.lower().split(",")))
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


def _weighed(entry: str) -> tuple[str, float]:
    kind, *parameters = (part.strip() for part in entry.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return kind, _weight(value.strip())
    return kind, 1.0


def _weight(value: str) -> float:
    """Of a weight that is none the entry counts for nothing."""
    digits = value.replace(".", "", 1)
    return float(value) if digits.isascii() and digits.isdigit() else 0.0
