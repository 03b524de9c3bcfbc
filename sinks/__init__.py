"""Results out: MQTT, annotated video, JSON Lines and data-set formats."""
