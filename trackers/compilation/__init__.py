"""Passes compiled, and on CUDA captured, in a few sizes that are made ready before the first frame."""
