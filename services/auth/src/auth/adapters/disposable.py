"""Domains whose addresses are thrown away, as the package `disposable-email-domains` lists them."""

from disposable_email_domains import blocklist


def is_disposable(address_normal: str) -> bool:
    """Whether the domain, or one that it belongs to, is listed."""
    labels = address_normal.rpartition("@")[2].split(".")
    return any(".".join(labels[number:]) in blocklist for number in range(len(labels) - 1))
