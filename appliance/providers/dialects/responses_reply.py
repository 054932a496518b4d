"""Replies and errors of OpenAI's Responses API as Chat Completions."""

from appliance.core.usage.counts import count
from appliance.providers.dialects.common import Json, mapping, string
from appliance.providers.dialects.common_errors import chat_error, error_in_200, error_parts

LENGTHS = ("max_output_tokens", "max_messages")
# What the error of a failed reply would have had for a status.
ERROR_STATUS = {"rate_limit_exceeded": 429, "server_error": 500, "vector_store_timeout": 504}
PART_BREAK = "\n\n"


def reply_to_chat(reply: Json, *, model: str, created: int, id: str) -> Json:
    if reply.get("status") == "failed":
        raise error_in_200(reply)
    said = Said()
    output = reply.get("output")
    for item in output if type(output) is list else ():
        if type(item) is dict:
            said.take(item)
    choice: Json = {"index": 0, "message": said.message(), "logprobs": said.logprobs_field()}
    choice["finish_reason"] = finish_reason(reply, has_calls=bool(said.calls))
    chat: Json = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_to_chat(mapping(reply.get("usage"))),
    }
    if reply.get("service_tier"):
        chat["service_tier"] = reply["service_tier"]
    return chat


class Said:
    """What the items of a reply said, gathered into one message."""

    __slots__ = (
        "annotations", "calls", "details", "has_text", "images", "logprobs", "refusals", "texts",
        "thoughts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.annotations: list[Json] = []
        self.calls: list[Json] = []
        self.details: list[Json] = []
        self.images: list[Json] = []
        self.logprobs: list[Json] = []
        self.refusals: list[str] = []
        self.texts: list[str] = []
        self.thoughts: list[str] = []

    def take(self, item: Json) -> None:
        kind = item.get("type")
        if kind == "message":
            content = item.get("content")
            for part in content if type(content) is list else ():
                if type(part) is dict:
                    self._take_part(part)
        elif kind == "reasoning":
            self.take_reasoning(item)
        elif kind == "image_generation_call":
            self.take_image(item)
        elif kind == "search_results":
            self.take_results(item)
        else:
            call = call_of(item)
            if call is not None:
                self.calls.append(call)

    def take_reasoning(self, item: Json) -> None:
        text = thought_text(item)
        if text:
            self.thoughts.append(text)
        detail: Json = {"thinking": text, "signature": string(item.get("encrypted_content"))}
        if item.get("id"):
            detail["id"] = item["id"]
        self.details.append(detail)

    def take_image(self, item: Json) -> None:
        data = string(item.get("result"))
        if data:
            kind = string(item.get("output_format")) or "png"
            url = f"data:image/{kind};base64,{data}"
            self.images.append({"type": "image_url", "image_url": {"url": url}})

    def take_results(self, item: Json) -> None:
        """Perplexity's pages, in the order in which the text counts them; of no place in it."""
        results = item.get("results")
        for result in results if type(results) is list else ():
            self.annotate({**mapping(result), "type": "url_citation"}, 0)

    def _take_part(self, part: Json) -> None:
        kind = part.get("type")
        if kind == "output_text":
            offset = sum(map(len, self.texts))
            self.texts.append(string(part.get("text")))
            found = part.get("annotations")
            for value in found if type(found) is list else ():
                self.annotate(mapping(value), offset)
            logprobs = part.get("logprobs")
            self.logprobs += logprobs if type(logprobs) is list else []
        elif kind == "refusal":
            self.refusals.append(string(part.get("refusal")))
        elif kind == "output_image":
            url = string(part.get("image_url"))
            self.images.append({"type": "image_url", "image_url": {"url": url}})

    def annotate(self, value: Json, offset: int) -> None:
        """Citations of addresses are what chat annotations know; places count from the start of
        the whole text."""
        if value.get("type") != "url_citation":
            return
        start, end = value.get("start_index"), value.get("end_index")
        cited = {
            "url": string(value.get("url")),
            "title": string(value.get("title")),
            "start_index": offset + (start if type(start) is int else 0),
            "end_index": offset + (end if type(end) is int else 0),
        }
        self.annotations.append({"type": "url_citation", "url_citation": cited})

    def message(self) -> Json:
        message: Json = {
            "role": "assistant",
            "content": "".join(self.texts) or None,
            "refusal": "".join(self.refusals) or None,
        }
        if self.thoughts:
            message["reasoning"] = PART_BREAK.join(self.thoughts)
        self.put_notes(message)
        if self.calls:
            message["tool_calls"] = self.calls
        return message

    def put_notes(self, message: Json) -> None:
        """What goes with a message without being said in it."""
        if self.details:
            message["reasoning_details"] = self.details
        if self.annotations:
            message["annotations"] = self.annotations
        if self.images:
            message["images"] = self.images

    def logprobs_field(self) -> Json | None:
        return {"content": self.logprobs, "refusal": None} if self.logprobs else None


def thought_text(item: Json) -> str:
    """The summary of a reasoning item, else its own text."""
    for name in ("summary", "content"):
        parts = item.get(name)
        if type(parts) is list and parts:
            return PART_BREAK.join(string(mapping(part).get("text")) for part in parts)
    return ""


def call_of(item: Json) -> Json | None:
    """A call of a tool that the client runs; None for any other item."""
    kind = item.get("type")
    id = string(item.get("call_id")) or string(item.get("id"))
    name = string(item.get("name"))
    if kind == "function_call":
        function = {"name": name, "arguments": string(item.get("arguments"))}
        return {"id": id, "type": "function", "function": function}
    if kind == "custom_tool_call":
        custom = {"name": name, "input": string(item.get("input"))}
        return {"id": id, "type": "custom", "custom": custom}
    return None


def finish_reason(reply: Json, *, has_calls: bool) -> str:
    reason = mapping(reply.get("incomplete_details")).get("reason")
    if reason in LENGTHS:
        return "length"
    if reason == "content_filter":
        return "content_filter"
    return "tool_calls" if has_calls else "stop"


def usage_to_chat(raw: Json) -> Json:
    """The same counts under their chat names, with every detail that there is."""
    prompt, completion = count(raw.get("input_tokens")), count(raw.get("output_tokens"))
    usage: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": count(raw.get("total_tokens")) or prompt + completion,
    }
    if mapping(raw.get("input_tokens_details")):
        usage["prompt_tokens_details"] = raw["input_tokens_details"]
    if mapping(raw.get("output_tokens_details")):
        usage["completion_tokens_details"] = raw["output_tokens_details"]
    return usage


def error_to_chat(status: int, body: bytes) -> tuple[int, Json]:
    return status, chat_error(status, error_parts(body))


def error_status(code: str | None) -> int:
    """The status that an error within a stream would have had."""
    return ERROR_STATUS.get(code or "", 400 if code else 500)
