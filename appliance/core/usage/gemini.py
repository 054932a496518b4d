"""Usage as Google writes it for Gemini, on AI Studio and Vertex: `usageMetadata` with details per
modality; the tool-use prompt and the thoughts are counted beside the prompt and the candidates
(`backend.md 5.2`, row Google)."""

from appliance.core.usage.counts import Documents, Raw, Reading, count, less, mapping
from appliance.core.usage_types import Modality, Usage

# Text is what is left when these are taken off. DOCUMENT is what our columns call a file.
MODALITIES = {"AUDIO": "audio", "IMAGE": "image", "VIDEO": "video", "DOCUMENT": "file"}


def read(documents: Documents) -> Reading | None:
    for document in reversed(documents):
        if type(document) is not dict:
            continue
        raw = document.get("usageMetadata")
        if type(raw) is dict and raw:
            return Reading(tokens_of(raw))
        response = document.get("response")  # code-assist endpoints wrap each chunk
        raw = mapping(mapping(response).get("usageMetadata"))
        if raw:
            return Reading(tokens_of(raw))
    return _other(documents)


def tokens_of(raw: Raw) -> Usage:
    prompt = count(raw.get("promptTokenCount")) + count(raw.get("toolUsePromptTokenCount"))
    prompt_parts = _parts(raw, "promptTokensDetails", "toolUsePromptTokensDetails")
    # Google sends the plural; the singular is what older documents name.
    cached_parts = _parts(raw, "cacheTokensDetails") or _parts(raw, "cacheTokenDetails")
    output_parts = _parts(raw, "candidatesTokensDetails", "responseTokensDetails")
    cached = count(raw.get("cachedContentTokenCount")) or sum(cached_parts.values())
    output = count(raw.get("candidatesTokenCount")) or count(raw.get("responseTokenCount"))
    prompt = prompt or sum(prompt_parts.values())
    output = output or sum(output_parts.values())
    modalities: dict[str, Modality] = {}
    for name, field in MODALITIES.items():
        parts = prompt_parts.get(name, 0), cached_parts.get(name, 0), output_parts.get(name, 0)
        if any(parts):
            modalities[field] = Modality(less(parts[0], parts[1]), parts[1], parts[2])
        prompt, output = prompt - parts[0], output - parts[2]
        cached -= parts[1]
    cached = max(0, cached)
    return Usage(
        input=max(0, less(prompt, cached)),
        output=max(0, output),
        cached_input=cached,
        thinking=count(raw.get("thoughtsTokenCount")),
        audio=modalities.get("audio"),
        image=modalities.get("image"),
        video=modalities.get("video"),
        file=modalities.get("file"),
    )


def _parts(raw: Raw, *names: str) -> dict[str, int]:
    parts: dict[str, int] = {}
    for name in names:
        details = raw.get(name)
        if type(details) is not list:
            continue
        for detail in details:
            item = mapping(detail)
            kind = str(item.get("modality", "TEXT")).upper()
            parts[kind] = parts.get(kind, 0) + count(item.get("tokenCount"))
    return parts


def _other(documents: Documents) -> Reading | None:
    """countTokens, which is free of charge, and Vertex embeddings, which count per text."""
    root = mapping(documents[0]) if len(documents) == 1 else {}
    if "totalTokens" in root:
        return Reading(Usage(input=count(root["totalTokens"]), requests=0, cost_pico=0))
    predictions = root.get("predictions")
    if type(predictions) is not list:
        return None
    tokens = 0
    for prediction in predictions:
        statistics = mapping(mapping(prediction).get("embeddings")).get("statistics")
        tokens += count(mapping(statistics).get("token_count"))
    return Reading(Usage(input=tokens)) if tokens else None
