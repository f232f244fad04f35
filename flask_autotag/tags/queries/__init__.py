"""Queries of tags: by image, by tag and by word, with their counts."""
