"""The variables by which programs learn where a provider is, and what `run` puts into them.

Data and rules, pure. A row is there because the reader's own source reads that variable; the manual
has the list (`ui/manual/run.md`), and a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from appliance.core.urls import parse_target
from appliance.errors import Refusal

GATEWAY: Final = "/v1/gateway/"
OLLAMA_PORT: Final = 11434
OLLAMA_SCHEMES: Final = {"http": 80, "https": 443}
# What a proxy's settings must leave out, or calls to this machine would go to it.
THIS_MACHINE: Final = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Variable:
    """`provider` and `below` are the path behind /v1/gateway/; `readers` names who reads it."""

    name: str
    provider: str
    below: str
    readers: str


VARIABLES: Final = (
    Variable("OPENAI_BASE_URL", "openai", "/v1", "OpenAI SDKs, Codex, LiteLLM, LangChain"),
    Variable("OPENAI_API_BASE", "openai", "/v1", "LiteLLM, LangChain, OpenAI SDK before 1.0"),
    Variable("ANTHROPIC_BASE_URL", "anthropic", "", "Anthropic SDKs, Claude Code, LiteLLM"),
    Variable("ANTHROPIC_API_BASE", "anthropic", "", "LiteLLM"),
    Variable("GOOGLE_GEMINI_BASE_URL", "google-ai-studio", "", "Google Gen AI SDKs, Gemini CLI"),
    Variable("GEMINI_API_BASE", "google-ai-studio", "", "LiteLLM"),
    Variable("OLLAMA_HOST", "ollama", "", "Ollama's command and SDKs"),
    Variable("OLLAMA_API_BASE", "ollama", "", "LiteLLM"),
    Variable("GROQ_BASE_URL", "groq", "", "Groq SDKs"),
    Variable("TOGETHER_BASE_URL", "together", "/v1", "Together SDKs"),
    Variable("OPENROUTER_API_BASE", "openrouter", "/api/v1", "LiteLLM"),
)
# SDKs do not start without one; a replay needs none.
KEYS: Final = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "TOGETHER_API_KEY",
    "OPENROUTER_API_KEY",
)  # fmt: skip
NO_KEY: Final = "replayed"
# Where everything below /v1 of this server begins, for programs that know it.
OWN_VARIABLE: Final = "HELICONE_RUN_URL"
RUN_PROPERTY: Final = "helicone-run"  # which all calls of one `run` bear
MODE_VARIABLE: Final = "HELICONE_RUN_MODE"
DIRECTORY_VARIABLE: Final = "HELICONE_RUN_DIR"


def base_urls(base: str) -> dict[str, str]:
    """What each variable is set to. `base`: the server's URL with key and tags in its path."""
    return {one.name: f"{base}{GATEWAY}{one.provider}{one.below}" for one in VARIABLES}


def program_environment(
    environ: Mapping[str, str], base: str, mode: str = "live", directory: str = ""
) -> dict[str, str]:
    """The environment of the program that is run. In the mode `replay` keys that it misses are
    made up. `directory`: of the cassettes, where there are any."""
    found = {**environ, **base_urls(base), OWN_VARIABLE: base, MODE_VARIABLE: mode}
    found.pop(DIRECTORY_VARIABLE, None)  # of a `run` around this one
    if directory:
        found[DIRECTORY_VARIABLE] = directory
    if mode == "replay":
        for name in KEYS:
            found.setdefault(name, NO_KEY)
    for name in ("NO_PROXY", "no_proxy"):
        listed = [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
        if "*" not in listed:
            more = [host for host in THIS_MACHINE if host not in listed]
            found[name] = ",".join([*listed, *more])
    return found


def elsewhere(environ: Mapping[str, str]) -> dict[str, str]:
    """Where the environment sends calls already, by provider: the first variable that is set.
    Raises Refusal for one that is no address."""
    found: dict[str, str] = {}
    for one in VARIABLES:
        value = environ.get(one.name, "").strip()
        if value and one.provider not in found:
            found[one.provider] = _address(one, value)
    return found


def _address(variable: Variable, value: str) -> str:
    try:
        url = _ollama_url(value) if variable.provider == "ollama" else value
        parse_target(url)
    except ValueError as error:
        raise Refusal(
            400, "base_url_invalid",
            f"the environment's {variable.name} {error}: mend it, or unset it",
        ) from None  # fmt: skip
    return url


def _ollama_url(value: str) -> str:
    """As Ollama reads its host: scheme and port may be missing, and what a server binds to (all
    addresses) is this machine for a client."""
    scheme, mark, rest = value.partition("://")
    scheme = scheme.lower()
    if not mark:
        scheme, rest = "http", value
    if scheme not in OLLAMA_SCHEMES:
        raise ValueError("begins with neither http:// nor https://")
    parts = urlsplit(f"{scheme}://{rest}")
    host = parts.hostname or "127.0.0.1"
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared only
    shown = f"[{host}]" if ":" in host else host
    try:
        given = parts.port
    except ValueError:
        raise ValueError("has no valid port") from None
    port = given or (OLLAMA_SCHEMES[scheme] if mark else OLLAMA_PORT)
    return f"{scheme}://{shown}:{port}{parts.path.rstrip('/')}"
