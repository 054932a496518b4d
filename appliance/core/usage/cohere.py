"""Usage on Cohere: billed units are what is paid for, tokens what was processed. Search units of
rerank are requests to the price formula."""

from appliance.core.usage.counts import Documents, Raw, Reading, count, mapping
from appliance.core.usage_types import Usage


def read(documents: Documents) -> Reading | None:
    for document in reversed(documents):
        root = mapping(document)
        for raw in (
            root.get("usage"),
            mapping(root.get("delta")).get("usage"),  # message-end of a v2 stream
            root.get("meta"),
            mapping(root.get("response")).get("meta"),  # stream-end of a v1 stream
        ):
            usage = tokens_of(mapping(raw))
            if usage is not None:
                return Reading(usage)
    return None


def tokens_of(raw: Raw) -> Usage | None:
    billed, tokens = mapping(raw.get("billed_units")), mapping(raw.get("tokens"))
    if not billed and not tokens:
        return None
    counts = billed if "input_tokens" in billed or "output_tokens" in billed else tokens
    if "search_units" in billed and counts is tokens:
        return Usage(requests=count(billed["search_units"]))
    return Usage(
        input=count(counts.get("input_tokens")),
        output=count(counts.get("output_tokens")),
        image=None,
    )
