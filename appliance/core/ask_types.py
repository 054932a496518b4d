"""What a client can ask for in its headers (proxy.md 2), as data. `asks.py` reads it."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

PromptMode = Literal["production", "testing", "deactivated"]
BodyMapping = Literal["", "OPENAI", "NO_MAPPING", "RESPONSES"]
TokenLimitHandler = Literal["", "truncate", "middle-out", "fallback"]

CACHE_AGE_DEFAULT_S: Final = 604_800


class CodeRange(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Statuses from first to last, both included."""

    first: int
    last: int


class Fallback(
    msgspec.Struct,
    frozen=True,
    rename={"target_url": "target-url", "on_codes": "onCodes", "body_override": "bodyKeyOverride"},
):
    """One entry of Helicone-Fallbacks (proxy.md 6.2)."""

    target_url: str
    headers: dict[str, str]
    on_codes: list[int | CodeRange]
    body_override: dict[str, Any] = {}


class Asks(msgspec.Struct, frozen=True):
    """Everything a request's headers ask for. `facts` are those that go on the record as they are.

    The mappings are shared between requests that ask for nothing: read them only.
    """

    target_url: str = ""
    openai_api_base: str = ""
    fallbacks: tuple[Fallback, ...] = ()
    body_mapping: BodyMapping = ""
    request_id: str = ""
    user_id: str = ""
    model_override: str = ""
    node_id: str = ""
    manual_access_key: str = ""
    stripe_customer_id: str = ""
    mock_response: bytes | None = None
    gateway_router_id: str = ""
    gateway_deployment_target: str = ""

    properties: Mapping[str, str] = {}
    session_id: str = ""
    session_path: str = ""
    session_name: str = ""
    prompt_id: str = ""
    prompt_version: str = ""
    prompt_mode: PromptMode = "deactivated"
    prompt_name: str = ""
    prompt_format: str = ""
    experiment_id: str = ""
    experiment_column_id: str = ""
    experiment_row_index: str = ""
    posthog_key: str = ""
    posthog_host: str = ""
    lytix_key: str = ""
    lytix_host: str = ""
    webhook_enabled: bool = False

    cache_enabled: bool = False
    cache_read: bool = False
    cache_save: bool = False
    cache_age_s: int = CACHE_AGE_DEFAULT_S
    cache_control: str = ""
    cache_buckets: int = 1
    cache_seed: str = ""
    cache_ignore_keys: tuple[str, ...] = ()
    retry_enabled: bool = False
    retry_num: int = 5
    retry_factor: float = 2.0
    retry_min_timeout_ms: int = 1000
    retry_max_timeout_ms: int = 10_000
    rate_limit_policy: str = ""
    omit_request: bool = False
    omit_response: bool = False
    moderations_enabled: bool = False
    security_enabled: bool = False
    security_advanced: bool = False
    stream_usage: bool = False
    stream_force_format: bool = False
    increase_timeout: bool = False
    token_limit_handler: TokenLimitHandler = ""

    facts: Mapping[str, Any] = {}
    not_applied: tuple[str, ...] = ()

    def without_override(self) -> "Asks":
        """The same without the client's own word for the model that answered."""
        facts = {name: value for name, value in self.facts.items() if name != "model_override"}
        return msgspec.structs.replace(self, model_override="", facts=facts)


NOTHING_ASKED: Final = Asks()
