"""What the MQTT library under ours says of itself."""

import pytest

from sinks.broker import parse_address
from sinks.client import make_client


@pytest.mark.anyio
async def test_an_answer_that_comes_after_its_time_out_is_no_error_in_the_log(caplog):
    client = await make_client(parse_address("mqtt://127.0.0.1:9/site"), "5")
    client._client.on_unsubscribe(client._client, None, 143, [], None)
    assert not caplog.records
