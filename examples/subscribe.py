"""Print what Maskcast publishes: `python examples/subscribe.py BROKER [PORT]`. Needs only aiomqtt and pycocotools."""

import argparse
import asyncio
import json
import sys

import aiomqtt
from pycocotools import mask


async def listen(host: str, port: int) -> None:
    """Subscribe to every stream."""
    async with aiomqtt.Client(host, port) as client:
        await client.subscribe("maskcast/+/tracks")
        async for message in client.messages:
            frame = json.loads(message.payload)
            for track in frame["tracks"]:
                pixels = mask.decode(track["segmentation"])
                print(frame["stream"], frame["frame"], track["id"], track["prompt"], int(pixels.sum()), flush=True)


parser = argparse.ArgumentParser(description="Print what Maskcast publishes.")
parser.add_argument("broker")
parser.add_argument("port", type=int, nargs="?", default=1883)
given = parser.parse_args()
try:
    asyncio.run(listen(given.broker, given.port))
except (aiomqtt.MqttError, OSError, ValueError) as error:
    sys.exit(f"{given.broker}:{given.port}: {error}")
except KeyboardInterrupt:
    sys.exit(130)
