"""Rate limits as a client meets them (proxy.md 5, internals.md 7): calls in turn, and replies.

Told without sockets: policy, bucket and reply are pure. `headers` are all that a reply has of
`Helicone-RateLimit-*`, with that prefix left out; whatever is not named must not be there.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """`times` equal calls at one moment. `statuses` are their replies' in order (one: all equal);
    `headers` are the last reply's. `cost_usd` is what each call that passed turned out to cost."""

    policy: str = ""
    at_s: float = 0.0
    user: str = ""
    body: bytes = b""
    properties: dict[str, str] = field(default_factory=dict)
    limited_key: bool = False
    org: bytes = b"o" * 16
    cost_usd: str = "0"
    times: int = 1
    statuses: tuple[int, ...] = (200,)
    headers: dict[str, str] | None = None
    not_applied: str = ""


@dataclass(frozen=True)
class Scenario:
    name: str
    calls: list[Call]
    stored: tuple[str, ...] = ()


def said(limit: str, remaining: int, policy: str, reset: int = 0) -> dict[str, str]:
    """The headers of a policy that was evaluated."""
    headers = {"Limit": limit, "Remaining": str(remaining), "Policy": policy}
    return {**headers, "Reset": str(reset)} if reset else headers


BURST = "100;w=3600"
INVALID = "ratelimit-policy;reason=policy-invalid"
MISSING = "ratelimit-policy;reason=segment-missing"

SCENARIOS = [
    Scenario(
        "no policy, no header",
        [Call(headers={}), Call(limited_key=True, headers={})],
    ),
    Scenario(
        "two requests, then 429 (rate-limit-2)",
        [Call("2;w=60", times=3, statuses=(200, 200, 429), headers=said("2", 0, "2;w=60", 60))],
    ),
    Scenario(
        "a burst of 100, then refusals",
        [
            Call(BURST, headers=said("100", 99, BURST, 36)),
            Call(BURST, times=99, headers=said("100", 0, BURST, 3600)),
            Call(BURST, times=3, statuses=(429,), headers=said("100", 0, BURST, 3600)),
        ],
    ),
    Scenario(
        "36 s of an hour give one of a hundred",
        [
            Call(BURST, times=100),
            Call(BURST, at_s=35.9, statuses=(429,)),
            Call(BURST, at_s=36, times=2, statuses=(200, 429), headers=said("100", 0, BURST, 3600)),
        ],
    ),
    Scenario(
        "no more than the quota gathers",
        [Call("5;w=60", times=5), Call("5;w=60", at_s=9e6, times=6, statuses=(200,) * 5 + (429,))],
    ),
    Scenario(
        "refused calls cost nothing",
        [
            Call("1;w=60", times=500, statuses=(200, *(429,) * 499)),
            Call("1;w=60", at_s=60),
        ],
    ),
    Scenario(
        "the canonical policy is echoed",
        [
            Call(" 0010.50;W=060;U=Request;S=User ", user="ann",
                 headers=said("10.5", 9, "10.5;w=60;s=user", 6)),
            Call("10;w=60;u=request", headers=said("10", 9, "10;w=60", 6)),
            Call("10;w=60;s=Plan", properties={"plan": "gold"},
                 headers=said("10", 9, "10;w=60;s=plan", 6)),
            Call("10;w=60;u=CENTS", headers=said("10", 10, "10;w=60;u=cents")),
        ],
    ),
    Scenario(
        "cents: asked before the call, charged after it (rate-limit-2)",
        [
            Call("10;w=3600;u=cents", cost_usd="0.0313",
                 headers=said("10", 10, "10;w=3600;u=cents")),
            Call("10;w=3600;u=cents", cost_usd="0.0687",
                 headers=said("10", 6, "10;w=3600;u=cents", 1127)),
            Call("10;w=3600;u=cents", statuses=(429,),
                 headers=said("10", 0, "10;w=3600;u=cents", 3600)),
        ],
    ),
    Scenario(
        "cents: into debt, and later calls wait until it is paid",
        [
            Call("10;w=60;u=cents", cost_usd="0.30"),
            Call("10;w=60;u=cents", at_s=120, statuses=(429,),
                 headers=said("10", 0, "10;w=60;u=cents", 60)),
            Call("10;w=60;u=cents", at_s=121, headers=said("10", 0, "10;w=60;u=cents", 59)),
        ],
    ),
    Scenario(
        "cents: the limit may be less than one, and the smallest costs are counted",
        [
            Call("0.5;w=60;u=cents", cost_usd="0.004999999999",
                 headers=said("0.5", 0, "0.5;w=60;u=cents")),
            Call("0.5;w=60;u=cents", cost_usd="0.000000000001"),
            Call("0.5;w=60;u=cents", statuses=(429,)),
        ],
    ),
    Scenario(
        "users have their own buckets",
        [
            Call("1;w=60;s=user", user="ann", times=2, statuses=(200, 429)),
            Call("1;w=60;s=user", user="bob"),
            Call("1;w=60;s=user", user="ANN"),
        ],
    ),
    Scenario(
        "the body's user counts where the header names none",
        [
            Call("1;w=60;s=user", body=b'{"model":"m","user":"ann"}'),
            Call("1;w=60;s=user", user="ann", statuses=(429,)),
            Call("1;w=60;s=user", user="bob", body=b'{"user":"ann"}'),
        ],
    ),
    Scenario(
        "properties are matched in any case",
        [
            Call("1;w=60;s=Plan", properties={"plan": "gold"}),
            Call("1;w=60;s=plan", properties={"PLAN": "gold"}, statuses=(429,)),
            Call("1;w=60;s=plan", properties={"plan": "free"}),
        ],
    ),
    Scenario(
        "a colon is an underscore, and control characters are nothing",
        [
            Call("1;w=60;s=user", user="a:b"),
            Call("1;w=60;s=user", user=" a_b\x07 ", statuses=(429,)),
        ],
    ),
    Scenario(
        "of a long value 256 characters count",
        [
            Call("1;w=60;s=user", user="x" * 256 + "a"),
            Call("1;w=60;s=user", user="x" * 256 + "b", statuses=(429,)),
            Call("1;w=60;s=user", user="x" * 255),
        ],
    ),
    Scenario(
        "organisations, units and names are apart",
        [
            Call("1;w=60"),
            Call("1;w=60", org=b"p" * 16),
            Call("1;w=60;u=cents", cost_usd="1"),
            Call("1;w=60;s=user", user="x"),
            Call("1;w=60;s=users", properties={"users": "x"}),
            Call("1;w=60", statuses=(429,)),
        ],
    ),
    Scenario(
        "a missing segment value passes, with the policy alone",
        [
            Call("1;w=60;s=user", times=3, headers={"Policy": "1;w=60;s=user"},
                 not_applied=MISSING),
            Call("1;w=60;s=user", user=" ", headers={"Policy": "1;w=60;s=user"},
                 not_applied=MISSING),
            Call("1;w=60;s=Plan", properties={"plan": ""}, user="ann",
                 headers={"Policy": "1;w=60;s=plan"}, not_applied=MISSING),
        ],
    ),
    Scenario(
        "a policy that is none passes, without a header",
        [
            Call(text, times=3, headers={}, not_applied=INVALID)
            for text in (
                "1:w=60", "1;w=59", "1;w=31536001", "0;w=60", "1;w=60;u=tokens", "1;w=60;x=extra",
                "1;w=60;s=user;u=cents", "1; w=60", "1e3;w=60", "nonsense", " ",
            )
        ],
    ),
    Scenario(
        "a smaller policy clamps the shared bucket, a larger one does not fill it",
        [
            Call("100;w=3600", headers=said("100", 99, "100;w=3600", 36)),
            Call("10;w=3600", headers=said("10", 9, "10;w=3600", 360)),
            Call("100;w=3600", headers=said("100", 8, "100;w=3600", 3312)),
        ],
    ),
    Scenario(
        "what was earned is granted before another policy applies",
        [
            Call("60;w=60", times=60),
            Call("60;w=3600", at_s=30, times=31, statuses=(200,) * 30 + (429,)),
        ],
    ),
    Scenario(
        "a clock that went back gives nothing",
        [
            Call("2;w=60", at_s=100, times=2),
            Call("2;w=60", at_s=50, statuses=(429,)),
            Call("2;w=60", at_s=100, statuses=(429,)),
            Call("2;w=60", at_s=130),
        ],
    ),
    Scenario(
        "stored policies are for -rl- keys; the most particular one counts",
        [
            Call(headers={}),
            Call(limited_key=True, headers=said("3", 2, "3;w=60", 20)),
            Call(limited_key=True, user="ann", headers=said("2", 1, "2;w=60;s=user", 30)),
            Call(limited_key=True, user="ann", properties={"plan": "gold"},
                 headers=said("4", 3, "4;w=60;s=plan", 15)),
            Call(limited_key=True, properties={"plan": ""}, headers=said("3", 1, "3;w=60", 40)),
        ],
        stored=("5;w=60", "3;w=60", "2;w=60;s=user", "4;w=60;s=Plan"),
    ),
    Scenario(
        "a header replaces stored policies, also one that is none",
        [
            Call(limited_key=True, statuses=(200, 429), times=2),
            Call("5;w=60;u=cents", limited_key=True, headers=said("5", 5, "5;w=60;u=cents")),
            Call("5;w=1", limited_key=True, headers={}, not_applied=INVALID),
        ],
        stored=("1;w=60",),
    ),
]  # fmt: skip
