"""The pipeline: types that cross borders, scheduling, the command line."""
