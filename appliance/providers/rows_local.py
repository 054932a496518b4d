"""Servers that people run on their own machine or network. Data only.

A row is no leave to dial: a private address needs `allow_targets`, or a `base_url` of the
configuration (`door/destinations.py`).
"""

from appliance.providers.rows import READ
from appliance.providers.table import Provider

# id, usual port on this machine, the day its page was read, page
_ON_A_PORT: tuple[tuple[str, int, str, str], ...] = (
    ("ollama", 11434, READ,
     "https://docs.ollama.com/api/errors"),
    ("lmstudio", 1234, READ,
     "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/618"),
    ("vllm", 8000, READ,
     "https://docs.vllm.ai/en/v0.28.0/serving/online_serving/openai_compatible_server/"),
    ("llamacpp", 8080, READ,
     "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"),
    ("sglang", 30000, READ,
     "https://www.mintlify.com/sgl-project/sglang/backend/openai-compatible-api"),
    ("litellm", 4000, READ,
     "https://docs.litellm.ai/docs/proxy/error_reference"),
    ("jan", 1337, "",
     "https://jan.ai/docs"),
    ("koboldcpp", 5001, READ,
     "https://github.com/LostRuins/koboldcpp/blob/concedo/koboldcpp.py"),
    ("tabbyapi", 5000, READ,
     "https://github.com/theroyallab/tabbyAPI/blob/main/endpoints/OAI/types/chat_completion.py"),
    ("xinference", 9997, READ,
     "https://github.com/xorbitsai/inference/blob/main/xinference/api/restful_api.py"),
    ("lmdeploy", 23333, READ,
     "https://github.com/InternLM/lmdeploy/blob/main/lmdeploy/serve/openai/protocol.py"),
)  # fmt: skip

# Their usual port is that of another one above: they are reached where the user says.
_ELSEWHERE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("localai", (),
     "https://localai.io/docs/api/api-errors/"),
    ("tgi", ("text-generation-inference",),
     "https://github.com/huggingface/text-generation-inference/blob/main/docs/openapi.json"),
    ("tei", ("text-embeddings-inference",),
     "https://github.com/huggingface/text-embeddings-inference/blob/main/router/src/http/server.rs"),
    ("mlx-lm", ("mlx",),
     "https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/SERVER.md"),
    ("bifrost", (),
     "https://docs.getbifrost.ai/api-reference/relays/relay-a-get-request"),
)  # fmt: skip

LOCAL_ROWS: tuple[Provider, ...] = (
    *(Provider(row_id, f"http://127.0.0.1:{port}/v1", doc, taken=taken, auth="none",
               hosts=(f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"))
      for row_id, port, taken, doc in _ON_A_PORT),
    *(Provider(row_id, "", doc, taken=READ, auth="none", aliases=aliases)
      for row_id, aliases, doc in _ELSEWHERE),
)  # fmt: skip
