"""Usage on Groq: OpenAI's, in streams under `x_groq` (`backend.md 5.2`, row Groq)."""

from appliance.core.usage import openai
from appliance.core.usage.counts import Documents, Reading, mapping


def read(documents: Documents) -> Reading | None:
    for document in reversed(documents):
        raw = mapping(mapping(mapping(document).get("x_groq")).get("usage"))
        if raw:
            return Reading(openai.tokens_of(raw, {}))
    return openai.read(documents)
