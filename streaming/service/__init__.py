"""`maskcast run`: many streams for months."""
