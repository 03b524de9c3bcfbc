"""Maskcast's models: text cache, detector, association, memory and track life cycle."""
