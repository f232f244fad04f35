"""Classifiers: images in, labels with confidence out."""
