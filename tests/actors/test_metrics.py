"""Metrics: what an exchange adds, and the text that Prometheus reads."""

from types import SimpleNamespace
from typing import Any

from appliance.actors.metrics import Metrics
from appliance.exchange import Exchange
from tests.fakes.bare_exchange import bare_exchange


def exchange(**changes: Any) -> Exchange:
    facts = {
        "http_status": 200,
        "outcome": "complete",
        "region": "us",
        "first_byte_s": 10.02,
        "started_s": 10.0,
        "not_applied": [],
        "route": SimpleNamespace(provider=SimpleNamespace(id="openai")),
        "identity": SimpleNamespace(failed_open=False),
    }
    return bare_exchange(**{**facts, **changes})


def test_an_exchange_is_counted_by_provider_outcome_status_class_and_region() -> None:
    metrics = Metrics()
    metrics.exchange(exchange(), 0.003)
    metrics.exchange(exchange(), 0.3)
    metrics.exchange(exchange(http_status=None, outcome="client_gone"), 1.0)
    text = metrics.render()
    labels = 'provider="openai",outcome="complete",status="2xx",region="us"'
    assert f"helicone_appliance_requests_total{{{labels}}} 2" in text
    assert 'outcome="client_gone",status="none"' in text
    assert 'helicone_appliance_request_seconds_bucket{provider="openai",le="0.005"} 1' in text
    assert 'helicone_appliance_request_seconds_bucket{provider="openai",le="+Inf"} 3' in text
    assert 'helicone_appliance_first_byte_seconds_count{provider="openai"} 3' in text


def test_what_was_not_applied_or_let_through_is_counted() -> None:
    metrics = Metrics()
    metrics.exchange(exchange(not_applied=["stream-usage;reason=body"]), 0.1)
    metrics.exchange(exchange(identity=SimpleNamespace(failed_open=True)), 0.1)
    text = metrics.render()
    assert 'helicone_appliance_not_applied_total{feature="stream-usage"} 1' in text
    assert 'helicone_appliance_failed_open_total{feature="keys"} 1' in text


def test_gauges_are_asked_when_somebody_reads_and_label_values_are_escaped() -> None:
    metrics = Metrics()
    metrics.gauges.append(lambda: [("disk_free_bytes", {"region": 'a"b\n'}, 5.0)])
    assert 'helicone_appliance_disk_free_bytes{region="a\\"b\\n"} 5' in metrics.render()


def test_samples_of_one_name_stand_together_under_their_type() -> None:
    metrics = Metrics()
    metrics.exchange(exchange(), 0.003)
    regions = ("us", "eu")
    metrics.gauges.append(
        lambda: [
            sample
            for region in regions
            for sample in (
                ("rolls_total", {"region": region}, 2**40 + 1),
                ("disk_free_bytes", {"region": region}, 60_120_100_000.5),
                ("journal_write_seconds_bucket", {"region": region, "le": "+Inf"}, 3),
                ("journal_write_seconds_count", {"region": region}, 3),
            )
        ]
    )
    families: dict[str, list[str]] = {}
    for text in metrics.render().splitlines():
        if text.startswith("# TYPE helicone_appliance_"):
            name, kind = text.removeprefix("# TYPE helicone_appliance_").split()
            assert name not in families, "a name came twice"
            families[name] = [kind]
        else:
            assert text.startswith("helicone_appliance_" + name)
            families[name].append(text.partition(" ")[2])
    assert families["rolls_total"] == ["counter", "1099511627777", "1099511627777"]
    assert families["disk_free_bytes"] == ["gauge", "6.01201e+10", "6.01201e+10"]
    assert families["journal_write_seconds"] == ["histogram", "3", "3", "3", "3"]
    assert families["request_seconds"][0] == "histogram"
    assert families["requests_total"] == ["counter", "1"]
    assert families["failed_open_total"] == ["counter", "0"]
