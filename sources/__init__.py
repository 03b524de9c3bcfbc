"""Frames in: files, network streams, cameras and image folders."""
