"""The settings of `maskcast run`."""
