"""Pure rules and records of auth."""
