"""Video into tracked masks from a phrase."""
