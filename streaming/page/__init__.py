"""The live page and what is beside it over HTTP: an event loop of its own, on a thread of its own."""
