"""Writes what is generated under ``docs``: ``python -m docs.generate``. Nothing of it is installed."""
