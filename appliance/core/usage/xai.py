"""Usage on xAI: OpenAI's names with other sums. Reasoning is counted beside the completion, and
text tokens are told apart from images (`backend.md 5.2`, row xAI)."""

from appliance.core.usage import openai
from appliance.core.usage.counts import Documents, Raw, Reading, count, find_usage, less
from appliance.core.usage_types import Modality, Usage


def read(documents: Documents) -> Reading | None:
    raw, holder = find_usage(documents)
    if "prompt_tokens" not in raw:
        return openai.read(documents)  # its Responses endpoint counts as OpenAI's does
    return Reading(tokens_of(raw, holder))


def tokens_of(raw: Raw, holder: Raw) -> Usage:
    prompt_details = openai.details(raw, openai.PROMPT_DETAILS)
    completion_details = openai.details(raw, openai.COMPLETION_DETAILS)
    prompt, completion = count(raw.get("prompt_tokens")), count(raw.get("completion_tokens"))
    cached = count(prompt_details.get("cached_tokens"))
    image, audio = (count(prompt_details.get(name)) for name in ("image_tokens", "audio_tokens"))
    text = count(prompt_details.get("text_tokens"))
    whole = max(0, prompt - image - audio)
    if not text or text == whole:
        # No text count, or one that includes what came from the cache.
        text = less(whole, cached)
    reasoning = count(completion_details.get("reasoning_tokens"))
    total = count(raw.get("total_tokens"))
    if reasoning and total == prompt + completion:
        completion = less(completion, reasoning)  # this model counts its reasoning in
    return Usage(
        input=text,
        output=completion,
        cached_input=cached,
        thinking=reasoning,
        audio=Modality(input=audio) if audio else None,
        image=Modality(input=image) if image else None,
        web_search=count(raw.get("num_sources_used")),
    )
