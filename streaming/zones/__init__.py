"""Zones and lines: which objects are where, and what is counted there. The rule is written down in `docs/zones.md`."""
