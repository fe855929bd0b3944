"""Where work comes in: events, HTTP, and the clock that drives deliveries."""
