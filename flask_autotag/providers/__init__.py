"""Classifiers: each returns labels with a confidence for an image."""
