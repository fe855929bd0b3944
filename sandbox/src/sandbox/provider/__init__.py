"""A stand-in for the model provider that speaks Anthropic's wire format."""
