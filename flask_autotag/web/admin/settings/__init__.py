"""Pages that show and change settings."""
