"""The JSON API, as a blueprint of its own."""
