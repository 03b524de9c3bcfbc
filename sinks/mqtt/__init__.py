"""MQTT: see ``docs/mqtt.md``."""
