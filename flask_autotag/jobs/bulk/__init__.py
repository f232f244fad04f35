"""Bulk work: queueing and re-tagging whole collections of images."""
