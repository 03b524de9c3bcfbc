"""From a source to its sinks: one stream, its model, its order at it."""
