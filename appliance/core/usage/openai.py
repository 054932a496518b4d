"""Usage as OpenAI writes it: chat, completions, embeddings, Responses, audio, images, and the many
services that speak the same (`backend.md 5.2`, row OpenAI). Counts include their parts."""

from appliance.core.usage.counts import (
    Documents,
    Raw,
    Reading,
    cost_pico,
    count,
    find_usage,
    first_count,
    less,
    mapping,
)
from appliance.core.usage_types import Modality, Usage

PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
COMPLETION_DETAILS = (
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
)


def read(documents: Documents) -> Reading | None:
    raw, holder = find_usage(documents)
    return Reading(tokens_of(raw, holder)) if is_openai(raw, holder) else None


def is_openai(raw: Raw, holder: Raw) -> bool:
    if "prompt_tokens" in raw or "total_tokens" in raw or "completion_tokens" in raw:
        return True
    # Anthropic's Messages count under the same name, but without the cached part.
    is_message = "cache_read_input_tokens" in raw or str(holder.get("type")).startswith("message")
    return "input_tokens" in raw and not is_message


def tokens_of(raw: Raw, holder: Raw) -> Usage:
    prompt_details = details(raw, PROMPT_DETAILS)
    completion_details = details(raw, COMPLETION_DETAILS)
    prompt = first_count(raw, "prompt_tokens", "input_tokens")
    completion = first_count(raw, "completion_tokens", "output_tokens")
    if not prompt and not completion:
        prompt = count(raw.get("total_tokens"))  # embeddings of some services name nothing else
    cached = count(prompt_details.get("cached_tokens"))
    reasoning = count(completion_details.get("reasoning_tokens"))
    if not (prompt_details or completion_details):
        return Usage(
            input=prompt,
            output=completion,
            web_search=_searches(raw, holder),
            cost_pico=_declared(raw),
        )
    modal_cached = mapping(prompt_details.get("cached_tokens_details"))
    audio = _modality(prompt_details, modal_cached, completion_details, "audio_tokens")
    image = _modality(prompt_details, modal_cached, completion_details, "image_tokens")
    modal_in = modal_cached_in = modal_out = 0
    for kind in (audio, image):
        if kind is not None:
            modal_in += kind.input + kind.cached_input
            modal_cached_in += kind.cached_input
            modal_out += kind.output
    if not modal_out and image is not None and _is_image_reply(holder):
        # Older image replies give no output details: what they put out are images.
        image = Modality(image.input, image.cached_input, completion)
        modal_out = completion
    cached_text = less(cached, modal_cached_in)
    write_5m, write_1h = _writes(prompt_details)
    return Usage(
        input=max(0, less(prompt, cached_text) - modal_in),
        output=max(0, less(completion, reasoning) - modal_out),
        cached_input=cached_text,
        thinking=reasoning,
        audio=audio,
        image=image,
        write_5m=write_5m,
        write_1h=write_1h,
        web_search=_searches(raw, holder),
        cost_pico=_declared(raw),
    )


def details(raw: Raw, names: tuple[str, ...]) -> Raw:
    for name in names:
        value = raw.get(name)
        if type(value) is dict:
            return value
    return {}


def _modality(prompt: Raw, cached: Raw, completion: Raw, name: str) -> Modality | None:
    total, output = count(prompt.get(name)), count(completion.get(name))
    part = count(cached.get(name))
    if not (total or output):
        return None
    return Modality(max(0, total - part), min(part, total), output)


def _writes(prompt_details: Raw) -> tuple[int, int]:
    """Cache writes as gateways add them; those without a split are the cheaper 5-minute kind."""
    split = mapping(prompt_details.get("cache_write_details"))
    write_1h = count(split.get("write_1h_tokens"))
    total = count(prompt_details.get("cache_write_tokens"))
    return max(count(split.get("write_5m_tokens")), total - write_1h), write_1h


def _searches(raw: Raw, holder: Raw) -> int:
    output = holder.get("output")
    if type(output) is list:
        return sum(
            1 for item in output if type(item) is dict and item.get("type") == "web_search_call"
        )
    return count(raw.get("num_search_queries"))


def _declared(raw: Raw) -> int | None:
    if "cost" not in raw:
        return None
    cost = raw["cost"]
    return cost_pico(cost.get("total_cost") if type(cost) is dict else cost)


def _is_image_reply(holder: Raw) -> bool:
    data = holder.get("data")
    if type(data) is list and data and type(data[0]) is dict:
        return "b64_json" in data[0] or "url" in data[0]
    return str(holder.get("type", "")).startswith("image_")
