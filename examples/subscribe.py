"""Print what Maskcast publishes: `python examples/subscribe.py BROKER [PORT]`. Needs only aiomqtt and pycocotools."""

import asyncio
import json
import sys

import aiomqtt
from pycocotools import mask


async def main() -> None:
    """Subscribe to every stream."""
    host, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1883
    async with aiomqtt.Client(host, port) as client:
        await client.subscribe("maskcast/+/tracks")
        async for message in client.messages:
            frame = json.loads(message.payload)
            for track in frame["tracks"]:
                pixels = mask.decode(track["segmentation"])
                print(frame["stream"], frame["frame"], track["id"], track["prompt"], int(pixels.sum()), flush=True)


asyncio.run(main())
