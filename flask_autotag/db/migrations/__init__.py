"""Alembic revisions that come in the package, and the commands that run them."""
