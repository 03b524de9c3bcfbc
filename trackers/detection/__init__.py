"""The checkpoint, and what it finds in one picture."""
