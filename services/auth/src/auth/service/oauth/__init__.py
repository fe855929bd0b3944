"""Our own small authorization server: programs, consents, codes, devices, and the tokens that come of them."""
