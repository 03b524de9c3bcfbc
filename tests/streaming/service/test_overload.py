"""When the log says that the model cannot keep up."""

from streaming.service.metrics import Metrics
from streaming.service.overload import Overload


def test_overload_is_told_when_it_begins_and_when_it_ends(caplog):
    metrics = Metrics()
    overload = Overload(metrics)
    with caplog.at_level("INFO"):
        for wanted, got in ((0.0, 0.0), (10.0, 9.5), (10.0, 5.0), (10.0, 4.0), (10.0, 9.5)):
            overload.look(wanted, got)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["overloaded", "no longer overloaded"]
    assert metrics.registry.get_sample_value("maskcast_overloaded") == 0
