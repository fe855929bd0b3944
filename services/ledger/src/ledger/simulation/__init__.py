"""A deterministic year of billing, and a slow second ledger that must come to the same books."""
