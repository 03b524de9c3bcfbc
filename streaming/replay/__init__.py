"""Stored results in place of a model."""
