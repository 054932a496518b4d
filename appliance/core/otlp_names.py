"""The names under which spans tell what belongs to a model's call (backend.md 3.5).

Pure. Old and new names of OpenTelemetry, Traceloop, OpenInference and the Vercel SDK.
"""

import re
from typing import Final

ASSOCIATION: Final = "traceloop.association.properties."

# What is told, under the names that tell it: of several in a span the first listed counts.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system",
                 "gen_ai.provider", "ai.model.provider"),
    "response_model": ("gen_ai.response.model", "ai.response.model", "llm.response.model"),
    "request_model": ("gen_ai.request.model", "llm.request.model", "llm.model_name", "ai.model.id",
                      "embedding.model_name"),
    "input": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
              "llm.usage.prompt_tokens", "ai.usage.inputTokens", "ai.usage.promptTokens"),
    "output": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens",
               "llm.token_count.completion", "llm.usage.completion_tokens",
               "ai.usage.outputTokens", "ai.usage.completionTokens"),
    "total": ("llm.usage.total_tokens", "gen_ai.usage.total_tokens", "llm.token_count.total",
              "ai.usage.totalTokens"),
    "cached": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
               "llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens"),
    "written": ("gen_ai.usage.cache_creation.input_tokens",
                "gen_ai.usage.cache_creation_input_tokens",
                "llm.token_count.prompt_details.cache_write"),
    "thought": ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
                "llm.token_count.completion_details.reasoning", "ai.usage.reasoningTokens"),
    "cost": ("gen_ai.usage.cost", "llm.cost.total", "langfuse.observation.cost_details.total"),
    "user": ("user.id", "enduser.id", "llm.user", "gen_ai.user", "langfuse.user.id",
             "ai.telemetry.metadata.userId", ASSOCIATION + "user_id"),
    "session": ("session.id", "gen_ai.conversation.id", "langfuse.session.id",
                "ai.telemetry.metadata.sessionId", ASSOCIATION + "session_id",
                ASSOCIATION + "chat_id"),
    "address": ("server.address", "gen_ai.openai.api_base", "llm.api_base"),
    "response_id": ("gen_ai.response.id", "ai.response.id"),
    "reasons": ("gen_ai.response.finish_reasons", "ai.response.finishReason"),
    "tools": ("gen_ai.tool.definitions", "ai.prompt.tools", "llm.tools"),
    "tool_name": ("gen_ai.tool.name", "tool.name", "ai.toolCall.name"),
    "entity_name": ("traceloop.entity.name",),
    "db_operation": ("db.operation.name", "db.operation"),
    "first_s": ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    "first_ms": ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"),
    # of steps; of a model's call they stand in for messages that are told in no other way
    "asked": ("gen_ai.tool.call.arguments", "ai.toolCall.args", "ai.toolCall.input",
              "db.query.text", "db.statement", "gen_ai.retrieval.query.text", "input.value",
              "traceloop.entity.input"),
    "said": ("gen_ai.tool.call.result", "ai.toolCall.result", "ai.toolCall.output",
             "gen_ai.retrieval.documents", "output.value", "traceloop.entity.output"),
    # settings of a call, by the name that OpenAI gives them
    "temperature": ("gen_ai.request.temperature", "llm.temperature"),
    "top_p": ("gen_ai.request.top_p", "llm.top_p"),
    "top_k": ("gen_ai.request.top_k", "llm.top_k"),
    "max_tokens": ("gen_ai.request.max_tokens", "llm.request.max_tokens"),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "llm.frequency_penalty"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "llm.presence_penalty"),
    "stop": ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences"),
    "seed": ("gen_ai.request.seed",),
    "n": ("gen_ai.request.choice.count",),
    "stream": ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"),
}  # fmt: skip
SETTING_NAMES: Final = (
    "temperature", "top_p", "top_k", "max_tokens", "frequency_penalty", "presence_penalty", "stop",
    "seed", "n", "stream",
)  # fmt: skip
SLOTS: Final[dict[str, tuple[str, int]]] = {
    name: (word, rank) for word, listed in NAMES.items() for rank, name in enumerate(listed)
}
MODELS: Final = (*NAMES["response_model"], *NAMES["request_model"])
COUNTS: Final = (*NAMES["input"], *NAMES["output"])
ALIASES: Final = {
    "az.ai.openai": "azure", "azure.ai.openai": "azure", "az.ai.inference": "azure",
    "azure.ai.inference": "azure", "aws.bedrock": "bedrock", "gcp.gemini": "google-ai-studio",
    "gcp.gen_ai": "google-ai-studio", "google_genai": "google-ai-studio", "gcp.vertex_ai": "vertex",
    "vertexai": "vertex", "mistral_ai": "mistral", "mistralai": "mistral", "x_ai": "xai",
    "ibm.watsonx.ai": "watsonx", "google.generative-ai": "google-ai-studio",
    "amazon-bedrock": "bedrock", "together_ai": "together",
}  # fmt: skip
MODEL_OPERATIONS: Final = frozenset({
    "chat", "text_completion", "generate_content", "embeddings", "completion", "rerank",
    "image_generation", "speech", "transcription",
})  # fmt: skip
STEP_OF_OPERATION: Final = {"execute_tool": "tool", "retrieval": "vector_db"}
STEP_OF_KIND: Final = {"tool": "tool", "retriever": "vector_db", "reranker": "vector_db"}
VECTOR_STORES: Final = frozenset({
    "pinecone", "chroma", "chromadb", "qdrant", "weaviate", "milvus", "lancedb", "marqo",
    "vectara", "pgvector", "faiss", "turbopuffer", "vespa",
})  # fmt: skip
FIRST_TOKEN_EVENT: Final = re.compile(r"first[ ._-]?(?:token|chunk)", re.IGNORECASE)
