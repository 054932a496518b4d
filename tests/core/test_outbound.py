import pytest

from appliance.core.outbound import check_destination, masked
from appliance.core.urls import HostList
from appliance.errors import Refusal

ALLOWED = HostList(["lan.example", "10.0.0.0/8", "*.inside.example", "127.0.0.1:9000"])


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/a/?token=b",
        "https://hooks.example.com:8443",
        "http://lan.example/x",
        "http://10.1.2.3:8080/",
        "http://a.inside.example",
        "http://127.0.0.1:9000/x",
        "https://93.184.216.34/x",
    ],
)
def test_may_be_sent_to(url: str):
    assert check_destination(url, ALLOWED, "destination") == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "expected a URL"),
        ("", "expected a URL"),
        (7, "expected a URL"),
        ("ftp://a.example", "https://"),
        ("http://a.example/", "expected https"),
        ("https://localhost/x", "webhook_allow"),
        ("https://printer.local", "webhook_allow"),
        ("https://wiki.corp/x", "webhook_allow"),
        ("https://db.internal/x", "webhook_allow"),
        ("https://router.lan/x", "webhook_allow"),
        ("https://intranet/x", "webhook_allow"),
        ("https://127.0.0.1:9001/x", "webhook_allow"),
        ("https://169.254.169.254/latest", "webhook_allow"),
        ("https://[::1]/x", "webhook_allow"),
        ("https://[::ffff:127.0.0.1]/x", "webhook_allow"),
        ("https://0x7f.1/x", "no valid host"),
        ("https://2130706433/x", "no valid host"),
        ("https://user:pass@a.example/x", "user or password"),
        ("https://a.example/x#y", "fragment"),
        ("https://a.example/../x", "dot segments"),
        ("https://a.example/x y", "printable"),
        ("https://a.example/\r\nHost: b", "printable"),
        ("https://ä.example/x", "printable"),
        ("https://a.example/" + "x" * 2000, "longer"),
    ],
)
def test_may_not_and_says_why(url: object, why: str):
    with pytest.raises(Refusal, match=why) as caught:
        check_destination(url, ALLOWED, "config.url")
    assert caught.value.status == 422
    assert caught.value.message.startswith("config.url: ")


def test_masked():
    assert (
        masked("https://hooks.slack.com/services/T0/B0/abcdefgh") == "https://hooks.slack.com/…efgh"
    )
