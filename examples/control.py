"""Change what a stream looks for: `python examples/control.py BROKER PORT STREAM PROMPT...`. Needs only aiomqtt."""

import argparse
import asyncio
import json
import sys
import uuid

import aiomqtt

ANSWER_SECONDS = 10


async def ask(host: str, port: int, stream: str, prompts: list[str]) -> bool:
    """Ask, and print the answer; whether it is a yes."""
    topic = f"maskcast/{stream}/control"
    request = {"action": "set", "prompts": prompts, "id": uuid.uuid4().hex}
    async with asyncio.timeout(ANSWER_SECONDS), aiomqtt.Client(host, port) as client:
        await client.subscribe(f"{topic}/reply", qos=1)
        await client.publish(topic, json.dumps(request), qos=1)
        async for message in client.messages:
            reply = json.loads(message.payload)
            if reply["id"] == request["id"]:
                print(reply["status"], reply["reason"] or reply["prompts"])
                return bool(reply["status"] == "accepted")
    return False


parser = argparse.ArgumentParser(description="Change what a stream looks for.")
parser.add_argument("broker")
parser.add_argument("port", type=int)
parser.add_argument("stream")
parser.add_argument("prompt", nargs="+")
given = parser.parse_args()
try:
    sys.exit(not asyncio.run(ask(given.broker, given.port, given.stream, given.prompt)))
except TimeoutError:
    sys.exit(f"{given.stream}: no answer in {ANSWER_SECONDS} s; is that the stream's name, and does it run?")
except (aiomqtt.MqttError, OSError, ValueError) as error:
    sys.exit(f"{given.broker}:{given.port}: {error}")
except KeyboardInterrupt:
    sys.exit(130)
