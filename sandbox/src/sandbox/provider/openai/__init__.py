"""The OpenAI-compatible half of the stand-in provider: the same server, words and scenarios, another wire format."""
