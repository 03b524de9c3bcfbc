"""Change what a stream looks for: `python examples/control.py BROKER PORT STREAM PROMPT...`. Needs only aiomqtt."""

import asyncio
import json
import sys
import uuid

import aiomqtt


async def main() -> None:
    """Ask, and print the answer."""
    host, port, stream, *prompts = sys.argv[1:]
    topic = f"maskcast/{stream}/control"
    request = {"action": "set", "prompts": prompts, "id": uuid.uuid4().hex}
    async with asyncio.timeout(10), aiomqtt.Client(host, int(port)) as client:
        await client.subscribe(f"{topic}/reply", qos=1)
        await client.publish(topic, json.dumps(request), qos=1)
        async for message in client.messages:
            reply = json.loads(message.payload)
            if reply["id"] == request["id"]:
                print(reply["status"], reply["reason"] or reply["prompts"])
                break


asyncio.run(main())
