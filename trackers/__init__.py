"""The models: text cache, detector, association and track life cycle."""
