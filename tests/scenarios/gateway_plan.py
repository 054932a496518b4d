"""The gateway's plan as a client meets it (proxy.md 6, internals.md 7): which providers are called,
in which order, and what comes of it.

Told without sockets: model string, order of attempts, token-limit handler and aggregate error are
pure. Where the tables of the original's tests contradict the issue, the issue is followed, and the
row says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ASK = [{"role": "user", "content": "Hi"}]


@dataclass(frozen=True)
class Scenario:
    """`own` and `platform` are the providers whose keys are at hand. `replies` are the statuses of
    providers' answers, by the source of the attempt or by its provider; 200 where none is named.
    `called` are the sources of the attempts that reached a provider, in order: nothing else may
    have been called. `says` is part of the message of a refusal, `types` are those of its
    details."""

    name: str
    model: Any
    own: tuple[str, ...] = ()
    platform: tuple[str, ...] = ()
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    funds: bool = True
    disputed: bool = False
    limited: bool = False
    disallowed: tuple[str, ...] = ()
    replies: dict[str, int] = field(default_factory=dict)
    called: tuple[str, ...] = ()
    status: int = 200
    says: str = ""
    types: tuple[str, ...] = ()


CLAUDE, GPT = "claude-4.5-sonnet", "gpt-4o"

SCENARIOS = [
    # --- bail-429
    Scenario(
        "credits alone, and none left: no provider is called",
        GPT,
        platform=("openai", "azure"),
        funds=False,
        status=429,
        says="Insufficient credits",
        types=("insufficient_credit_limit", "insufficient_credit_limit"),
    ),
    Scenario(
        "no credits left does not end the loop while an own key can still serve (the issue)",
        f"{GPT}/azure,{CLAUDE}",
        own=("anthropic",),
        platform=("azure",),
        funds=False,
        called=(f"{CLAUDE}/anthropic/byok",),
    ),
    Scenario(
        "our own limit ends the loop: one token per request, so a later attempt has none either",
        GPT,
        own=("openai", "azure"),
        limited=True,
        status=429,
        says="Rate limited",
        types=("rate_limited",),
    ),
    Scenario(
        "a provider's own 429 leads on",
        GPT,
        own=("openai", "azure"),
        replies={"openai": 429},
        called=(f"{GPT}/openai/byok", f"{GPT}/azure/byok"),
    ),
    # --- byok-ptb-priority
    Scenario(
        "an own key before credits",
        GPT,
        own=("openai",),
        platform=("openai",),
        called=(f"{GPT}/openai/byok",),
    ),
    Scenario(
        "an own key that is refused, then credits at the same provider",
        GPT,
        own=("openai",),
        platform=("openai",),
        replies={f"{GPT}/openai/byok": 401},
        called=(f"{GPT}/openai/byok", f"{GPT}/openai/ptb"),
    ),
    Scenario(
        "two models are tried in the order given, whatever the priorities",
        f"{CLAUDE}/bedrock,{GPT}/openai",
        own=("openai", "bedrock"),
        platform=("openai", "bedrock"),
        replies={"bedrock": 500, f"{GPT}/openai/byok": 500},
        called=(
            f"{CLAUDE}/bedrock/byok",
            f"{CLAUDE}/bedrock/ptb",
            f"{GPT}/openai/byok",
            f"{GPT}/openai/ptb",
        ),
    ),
    Scenario(
        "own keys alone make exactly one call",
        f"{GPT}/openai",
        own=("openai",),
        replies={"openai": 500},
        called=(f"{GPT}/openai/byok",),
        status=500,
    ),
    Scenario(
        "credits alone make exactly one call",
        f"{GPT}/openai",
        platform=("openai",),
        called=(f"{GPT}/openai/ptb",),
    ),
    # --- dispute-handling
    Scenario(
        "a disputed payment: 403 and no call",
        GPT,
        platform=("openai",),
        disputed=True,
        status=403,
        says="disputed",
        types=("request_failed",),
    ),
    Scenario(
        "a disputed payment and an own key",
        f"{GPT}/azure,{GPT}/openai",
        own=("openai",),
        platform=("azure",),
        disputed=True,
        called=(f"{GPT}/openai/byok",),
    ),
    # --- error-handling; a provider's status is kept (the issue), where the original made it 500
    Scenario("500", GPT, own=("openai",), replies={"openai": 500},
             called=(f"{GPT}/openai/byok",), status=500, types=("request_failed",)),
    Scenario("400 stays 400", GPT, own=("openai",), replies={"openai": 400},
             called=(f"{GPT}/openai/byok",), status=400),
    Scenario("404 stays 404", GPT, own=("openai",), replies={"openai": 404},
             called=(f"{GPT}/openai/byok",), status=404),
    Scenario("401", GPT, own=("openai",), replies={"openai": 401},
             called=(f"{GPT}/openai/byok",), status=401, says="Authentication failed"),
    Scenario("429 everywhere", GPT, own=("openai",), platform=("openai",),
             replies={"openai": 429}, called=(f"{GPT}/openai/byok", f"{GPT}/openai/ptb"),
             status=429, says="Rate limited"),
    Scenario("500, then 200", GPT, own=("openai", "azure"), replies={"openai": 500},
             called=(f"{GPT}/openai/byok", f"{GPT}/azure/byok")),
    Scenario("500, then 503: the first that is no limit counts", GPT, own=("openai", "azure"),
             replies={"openai": 500, "azure": 503},
             called=(f"{GPT}/openai/byok", f"{GPT}/azure/byok"), status=500),
    Scenario(
        "groq 500, openai 429, anthropic 200",
        f"gpt-oss-120b/groq,{GPT}/openai,{CLAUDE}/anthropic",
        own=("groq", "openai", "anthropic"),
        replies={"groq": 500, "openai": 429},
        called=("gpt-oss-120b/groq/byok", f"{GPT}/openai/byok", f"{CLAUDE}/anthropic/byok"),
    ),
    Scenario(
        "a model that may not be paid from credits leads on, and says so when nothing is left",
        f"{GPT}/openai,{GPT}/azure",
        platform=("openai", "azure"),
        disallowed=("openai", "azure"),
        status=400,
        says="none of them is allowed",
        types=("disallowed", "disallowed"),
    ),
    Scenario(
        "one that may be is tried",
        f"{GPT}/openai,{GPT}/azure",
        platform=("openai", "azure"),
        disallowed=("openai",),
        called=(f"{GPT}/azure/ptb",),
    ),
    # --- pass-through
    Scenario(
        "a name that the registry does not know goes out with an own key alone",
        "claude-9/anthropic",
        own=("anthropic",),
        platform=("anthropic",),
        called=("claude-9/anthropic/byok",),
    ),
    Scenario(
        "Bedrock's names keep their region",
        "eu.anthropic.claude-9-v1:0/bedrock",
        own=("bedrock",),
        called=("eu.anthropic.claude-9-v1:0/bedrock/byok",),
    ),
    Scenario(
        "and not without one",
        "claude-9/anthropic",
        platform=("anthropic",),
        status=400,
        says="there is no key for anthropic",
        types=("missing_provider_key",),
    ),
    # --- provider-ignore
    Scenario(
        "an excluded provider is skipped for all models",
        f"!azure,{GPT},gpt-4.1",
        own=("azure", "openrouter"),
        replies={"openrouter": 500},
        called=(f"{GPT}/openrouter/byok", "gpt-4.1/openrouter/byok"),
        status=500,
    ),
    Scenario(
        "several are",
        f"!azure,!openai,{GPT}",
        own=("openai", "azure", "openrouter"),
        called=(f"{GPT}/openrouter/byok",),
    ),
    Scenario(
        "all are",
        f"{GPT}/openai,!openai",
        own=("openai",),
        status=400,
        says="all that have it are excluded",
        types=("model_not_supported",),
    ),
    Scenario("an unknown one", f"!nobody,{GPT}", own=("openai",), status=400,
             says="Invalid provider"),
    Scenario("a bare mark", "!", own=("openai",), status=400, says="Invalid provider"),
    # --- parseModelString, attemptBuilderErrorPropagation, prompt-model
    Scenario("`:online` at the end of the model's part", f"{CLAUDE}:online/anthropic",
             own=("anthropic",), called=(f"{CLAUDE}/anthropic/byok",)),
    Scenario("a bad provider", f"{GPT}/nobody", own=("openai",), status=400,
             says="'nobody' is no known provider"),
    Scenario("the first bad item makes the whole request 400", f"{GPT},nothing-9", own=("openai",),
             status=400, says="Invalid model: 'nothing-9'"),
    Scenario("no model", None, own=("openai",), status=400, says="has no model"),
    Scenario("a model that is no text", 4, own=("openai",), status=400, says="not a string"),
    # --- ptb-validation
    Scenario(
        "an empty conversation is not paid from credits",
        GPT,
        platform=("openai",),
        body={"messages": []},
        status=400,
        says="messages: a list of at least one message is needed",
        types=("invalid_format",),
    ),
    Scenario(
        "with an own key it is the provider's to judge",
        GPT,
        own=("openai",),
        body={"messages": []},
        called=(f"{GPT}/openai/byok",),
    ),
    Scenario(
        "web_search_options, which credits cannot count",
        GPT,
        platform=("openai",),
        body={"web_search_options": {}},
        status=400,
        says="web_search_options",
        types=("invalid_format",),
    ),
    Scenario(
        "what every body may have",
        GPT,
        platform=("openai",),
        body={"user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
              "cache_control": {"type": "ephemeral"}},
        called=(f"{GPT}/openai/ptb",),
    ),
    # --- sortAttemptsByPriority
    Scenario(
        "credits by price, then by priority",
        "gpt-oss-120b",
        platform=("openrouter", "groq", "deepinfra", "cerebras", "baseten"),
        replies=dict.fromkeys(("deepinfra", "baseten", "groq"), 503),
        called=(
            "gpt-oss-120b/deepinfra/ptb",
            "gpt-oss-120b/baseten/ptb",
            "gpt-oss-120b/groq/ptb",
            "gpt-oss-120b/cerebras/ptb",
        ),
    ),
    Scenario(
        "a customer of Stripe's is not sent to Helicone's own host",
        "gpt-4.1",
        own=("helicone", "openai"),
        headers={"x-stripe-customer-id": "cus_1"},
        called=("gpt-4.1/openai/byok",),
    ),
    # --- token-limit-exception
    Scenario(
        "a prompt too long for the first model goes to the second",
        f"gemma2-9b-it/openrouter,{GPT}/openai",
        own=("openrouter", "openai"),
        headers={"helicone-token-limit-exception-handler": "fallback"},
        body={"messages": [{"role": "user", "content": "x" * 40_000}]},
        called=(f"{GPT}/openai/byok",),
    ),
    Scenario(
        "one that fits stays with the first, and the list comes down to it",
        f"gemma2-9b-it/openrouter,{GPT}/openai",
        own=("openrouter", "openai"),
        headers={"helicone-token-limit-exception-handler": "fallback"},
        replies={"openrouter": 500},
        called=("gemma2-9b-it/openrouter/byok",),
        status=500,
    ),
    Scenario(
        "names that providers and other gateways use",
        "claude-sonnet-4-5, openai/gpt-4o",
        own=("anthropic", "openai"),
        replies={"anthropic": 529},
        called=(f"{CLAUDE}/anthropic/byok", f"{GPT}/openai/byok"),
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Retries:
    """`ends` are what the calls in turn end with (None: no reply); `waits_s` are taken between
    them with the dice at zero, and the last one's end is returned."""

    name: str
    headers: dict[str, str]
    ends: tuple[int | None, ...]
    waits_s: tuple[float, ...]
    retry_after: bytes = b""


ON = {"helicone-retry-enabled": "true"}
RETRIES = [
    Retries("not asked for", {"helicone-retry-num": "3"}, (503, 200), ()),
    Retries("a good reply ends it", ON, (200,), ()),
    Retries("five more by default", ON, (503,) * 6, (1, 2, 4, 8, 10)),
    Retries("`num` counts the attempts after the first (the issue)",
            {**ON, "helicone-retry-num": "2"}, (503, 503, 503), (1, 2)),
    Retries("none", {**ON, "helicone-retry-num": "0"}, (503,), ()),
    Retries("no reply, then one", ON, (None, 200), (1,)),
    Retries("an error of the client's", ON, (400,), ()),
    Retries("Retry-After of a 429", ON, (429, 200), (7,), b"7"),
    Retries("its cap", ON, (429, 200), (60,), b"3600"),
    Retries("a date that has passed is none", ON, (429, 200), (1,),
            b"Wed, 21 Oct 2015 07:28:00 GMT"),
    Retries("a fraction is none", ON, (429, 200), (1,), b"1.5"),
    Retries("a 503's is not heeded", ON, (503, 200), (1,), b"7"),
]  # fmt: skip
