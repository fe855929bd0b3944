"""Pure rules: the kinds of notices, and when a delivery goes out."""
