"""From events to notices, each once per fact."""
