"""Requests to Gemini as Google's reference describes them, for `official.check_request`."""

from typing import Any, Literal, NotRequired, Required

from typing_extensions import TypedDict


class Blob(TypedDict):
    mimeType: str
    data: str


class FileData(TypedDict):
    fileUri: str
    mimeType: NotRequired[str]


class ResponsePart(TypedDict, total=False):
    inlineData: Blob
    fileData: FileData


class FunctionCall(TypedDict):
    id: NotRequired[str]
    name: str
    args: dict[str, Any]


class FunctionResponse(TypedDict):
    id: NotRequired[str]
    name: str
    response: dict[str, Any]
    parts: NotRequired[list[ResponsePart]]


class Part(TypedDict, total=False):
    text: str
    thought: bool
    thoughtSignature: str
    inlineData: Blob
    fileData: FileData
    functionCall: FunctionCall
    functionResponse: FunctionResponse


class Content(TypedDict):
    role: Literal["user", "model"]
    parts: list[Part]


class Instruction(TypedDict):
    parts: list[Part]


class Schema(TypedDict, total=False):
    type: Literal["string", "number", "integer", "boolean", "array", "object"]
    format: str
    title: str
    description: str
    nullable: bool
    default: Any
    enum: list[str]
    items: "Schema"
    minItems: int
    maxItems: int
    properties: dict[str, Any]
    propertyOrdering: list[str]
    required: list[str]
    minProperties: int
    maxProperties: int
    minimum: float
    maximum: float
    minLength: int
    maxLength: int
    pattern: str
    anyOf: list["Schema"]


class FunctionDeclaration(TypedDict, total=False):
    name: Required[str]
    description: str
    parameters: Schema
    parametersJsonSchema: dict[str, Any]


class Tool(TypedDict, total=False):
    functionDeclarations: list[FunctionDeclaration]
    googleSearch: dict[str, Any]


class FunctionCallingConfig(TypedDict, total=False):
    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"]
    allowedFunctionNames: list[str]


class ToolConfig(TypedDict):
    functionCallingConfig: FunctionCallingConfig


class ThinkingConfig(TypedDict, total=False):
    includeThoughts: bool
    thinkingBudget: int
    thinkingLevel: Literal["minimal", "low", "medium", "high"]


class ImageConfig(TypedDict, total=False):
    aspectRatio: str
    imageSize: str


class GenerationConfig(TypedDict, total=False):
    temperature: float
    topP: float
    topK: int
    candidateCount: int
    maxOutputTokens: int
    stopSequences: list[str]
    presencePenalty: float
    frequencyPenalty: float
    seed: int
    responseLogprobs: bool
    logprobs: int
    responseMimeType: Literal["application/json", "text/plain"]
    responseSchema: Schema
    responseJsonSchema: dict[str, Any]
    responseModalities: list[Literal["TEXT", "IMAGE", "AUDIO"]]
    mediaResolution: Literal["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_HIGH"]
    imageConfig: ImageConfig
    thinkingConfig: ThinkingConfig


class SafetySetting(TypedDict):
    category: str
    threshold: str
    method: NotRequired[str]


class GenerateContentRequest(TypedDict, total=False):
    contents: Required[list[Content]]
    system_instruction: Instruction
    tools: list[Tool]
    toolConfig: ToolConfig
    generationConfig: GenerationConfig
    safetySettings: list[SafetySetting]
    labels: dict[str, str]
    serviceTier: Literal["flex", "priority"]
