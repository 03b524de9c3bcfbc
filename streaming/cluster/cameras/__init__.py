"""Cameras on several workers: the head keeps what a stream is, a worker takes its frames from source to model."""
