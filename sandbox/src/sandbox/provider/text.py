"""Deterministic prose: the same seed and length give the same words."""

_OPENING = "This is the sandbox speaking; no model ran and nothing here was thought about."
_SENTENCES = (
    "A tram crosses the river at noon and nobody on board checks the time.",
    "The meter by the door counts slowly, then pauses, then counts again.",
    "Three tickets lie on the counter, one of them folded into a small boat.",
    "Rain has been promised since Tuesday and the umbrellas have stopped believing it.",
    "Somewhere below the square an old pump keeps the cellars dry.",
    "The conductor knows every passenger by the sound of their coins.",
    "A child asks how far a credit goes and gets a map for an answer.",
    "On the last bench a radio plays to an audience of two pigeons.",
    "The bakery sells its bread by weight and its advice for nothing.",
    "Someone has chalked the timetable on the wall, with corrections.",
    "At the terminus the driver turns the seats round, one row at a time.",
    "The bridge hums when the wind comes from the sea.",
    "A ledger lies open upstairs and every line of it has two sides.",
    "The evening train is late by exactly as much as it was yesterday.",
)
_UNICODE_SENTENCES = (
    "Zażółć gęślą jaźń, a naïve coöperative façade said: ¿qué tal? 🚋",
    "東京の夜は静かで、 電車 が ゆっくり 走ります。",
    "Η πόλη ξυπνά νωρίς — и поезд уходит вовремя 🌧️",  # noqa: RUF001  foreign letters are the point
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 z\u0335 مرحبا بالعالم 𝔘𝔫𝔦 ∑ ≠ ∞",  # noqa: RUF001  foreign letters are the point
)


def words(seed: int, *, count: int, unicode: bool = False) -> list[str]:
    """`count` words, each after the first with the space before it, so that joining them gives the text."""
    sentences = _UNICODE_SENTENCES if unicode else _SENTENCES
    found = [] if unicode else _OPENING.split(" ")
    at = seed % len(sentences)
    while len(found) < count:
        found.extend(sentences[at].split(" "))
        at = (at + 1) % len(sentences)
    return [word if place == 0 else f" {word}" for place, word in enumerate(found[:count])]


def pieces(tokens: list[str], *, per_piece: int) -> list[str]:
    return ["".join(tokens[at : at + per_piece]) for at in range(0, len(tokens), per_piece)]
