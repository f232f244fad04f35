"""Images of the host: their names and sources, hooks to them, and signals."""
