"""Requests to Converse as Amazon's reference describes them, for `official.check_request`."""

from typing import Any, Literal, NotRequired, Required

from typing_extensions import TypedDict


class Stored(TypedDict):
    uri: str


class Source(TypedDict, total=False):
    bytes: str
    s3Location: Stored


class Image(TypedDict):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: Source


class Document(TypedDict):
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]
    name: str
    source: Source
    context: NotRequired[str]


class Audio(TypedDict):
    format: str
    source: Source


class ToolUse(TypedDict):
    toolUseId: str
    name: str
    input: dict[str, Any]


class ResultBlock(TypedDict, total=False):
    json: dict[str, Any]
    text: str
    image: Image
    document: Document


class ToolResult(TypedDict):
    toolUseId: str
    content: list[ResultBlock]
    status: NotRequired[Literal["success", "error"]]


class ReasoningText(TypedDict):
    text: str
    signature: NotRequired[str]


class Reasoning(TypedDict, total=False):
    reasoningText: ReasoningText
    redactedContent: str


class Block(TypedDict, total=False):
    text: str
    image: Image
    document: Document
    audio: Audio
    toolUse: ToolUse
    toolResult: ToolResult
    reasoningContent: Reasoning


class Message(TypedDict):
    role: Literal["user", "assistant"]
    content: list[Block]


class System(TypedDict):
    text: str


class Settings(TypedDict, total=False):
    maxTokens: int
    temperature: float
    topP: float
    stopSequences: list[str]


class InputSchema(TypedDict):
    json: dict[str, Any]


class ToolSpecification(TypedDict):
    name: str
    description: NotRequired[str]
    inputSchema: InputSchema
    strict: NotRequired[bool]


class Tool(TypedDict):
    toolSpec: ToolSpecification


class Named(TypedDict):
    name: str


class ToolChoice(TypedDict, total=False):
    auto: dict[str, Any]
    any: dict[str, Any]
    tool: Named


class ToolConfig(TypedDict):
    tools: list[Tool]
    toolChoice: NotRequired[ToolChoice]


class JsonSchema(TypedDict):
    schema: str
    name: NotRequired[str]
    description: NotRequired[str]


class Structure(TypedDict):
    jsonSchema: JsonSchema


class TextFormat(TypedDict):
    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(TypedDict):
    textFormat: TextFormat


class Tier(TypedDict):
    type: Literal["priority", "default", "flex"]


class ConverseRequest(TypedDict, total=False):
    messages: Required[list[Message]]
    system: list[System]
    inferenceConfig: Settings
    toolConfig: ToolConfig
    additionalModelRequestFields: dict[str, Any]
    requestMetadata: dict[str, str]
    serviceTier: Tier
    outputConfig: OutputConfig
