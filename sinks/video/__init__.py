"""Annotated pictures: in a file, in segments, or one at a time."""
