"""The revisions, oldest first. Their order is told by ``down_revision`` alone."""
