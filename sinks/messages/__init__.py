"""What a result is in JSON, and the topics that it travels on."""
