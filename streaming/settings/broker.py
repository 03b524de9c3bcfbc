"""The settings of the broker."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import ByteSize, Field, SecretStr, model_validator

from sinks.mqtt.broker import DEFAULT_PROTOCOL, BrokerAddress, MqttVersion, parse_address
from sinks.mqtt.home_assistant import DEFAULT_DISCOVERY_PREFIX
from sinks.mqtt.payload import DEFAULT_PAYLOAD_BYTES, LARGEST_PAYLOAD_BYTES, SMALLEST_PAYLOAD_BYTES
from streaming.settings.table import Table
from streaming.settings.values import BrokerUrl, ClientId, FilePath, Text, Topic


class MqttSettings(Table):
    """The broker that everything is published to."""

    url: BrokerUrl = Field(description="`mqtt[s]://[user:password@]host[:port]/prefix`.")
    username: Text | None = Field(default=None, repr=False, description="If it is not in the URL.")
    password: SecretStr | None = Field(default=None, description="If it is not in the URL; best as `${NAME}`.")
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate."
    )
    cert_file: FilePath | None = Field(default=None, description="PEM file of this client's certificate.")
    key_file: FilePath | None = Field(default=None, description="PEM file of its key, if that is not in `cert_file`.")
    protocol: MqttVersion = Field(default=DEFAULT_PROTOCOL, description="Version of MQTT.")
    client_id: ClientId | None = Field(
        default=None,
        description="Client id of the process, where the broker prescribes one; streams append `-` and their id. "
        "Each process needs its own.",
    )
    max_payload: Annotated[ByteSize, Field(ge=SMALLEST_PAYLOAD_BYTES, le=LARGEST_PAYLOAD_BYTES)] = Field(
        default=ByteSize(DEFAULT_PAYLOAD_BYTES),
        description="Largest message; bigger masks are sent at a lower resolution.",
    )
    stills: bool = Field(default=True, description="Publish an annotated JPEG when an object appears.")
    home_assistant: bool = Field(default=False, description="Announce the streams to Home Assistant.")
    discovery_prefix: Topic = Field(
        default=DEFAULT_DISCOVERY_PREFIX, description="Topic under which Home Assistant listens."
    )

    @model_validator(mode="after")
    def _fits(self) -> MqttSettings:
        address = parse_address(self.url)
        if self.username is not None and address.username is not None:
            raise ValueError("the user name is given twice, in url and in username")
        if self.password is not None and address.password is not None:
            raise ValueError("the password is given twice, in url and in password")
        if self.password is not None and self.username is None and address.username is None:
            raise ValueError("password needs a username")
        if not address.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("ca_file, cert_file and key_file need a url that begins with mqtts://")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs a cert_file")
        return self

    def address(self) -> BrokerAddress:
        """Where, as whom and how to connect: the URL with all that stands beside it."""
        address = parse_address(self.url)
        return replace(
            address,
            username=self.username or address.username,
            password=self.password.get_secret_value() if self.password else address.password,
            protocol=self.protocol,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            client_id=self.client_id,
        )
