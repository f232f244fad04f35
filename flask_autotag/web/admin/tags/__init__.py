"""Pages of tags and of the vocabulary."""
