"""Providers that the wire contract names (proxy.md 1.2, 10.1, 10.2). Data only.

The order is that of proxy.md 10.1: the first row whose host pattern fits is the provider. A row
with `taken` was compared with its page on that day and has a sample in tests/providers/samples.
"""

from appliance.providers.table import Provider

CONTRACT = "proxy.md 10, 2026-07-21"
READ = "2026-11-22"  # the day on which the pages of these tables were read
# What OpenAI puts before its host, for data that stays in one place; the whole list, each name as
# it is (developers.openai.com/api/docs/guides/data-residency). None but these is OpenAI.
OPENAI_PLACES = ("us", "eu", "au", "ca", "jp", "in", "sg", "kr", "gb", "ae")

ROWS: tuple[Provider, ...] = (
    Provider(
        "openai", "https://api.openai.com/v1",
        "https://github.com/openai/openai-python", taken=READ,
        hosts=("api.openai.com", *(f"{place}.api.openai.com" for place in OPENAI_PLACES)),
        key_env=("OPENAI_API_KEY",), aliases=("oai",),
    ),
    Provider(
        "anthropic", "https://api.anthropic.com",
        "https://github.com/anthropics/anthropic-sdk-python", taken=READ, auth="x-api-key",
        dialect="anthropic", key_env=("ANTHROPIC_API_KEY",), aliases=("claude",),
    ),
    Provider(
        "llama", "https://api.llama.com/compat/v1", "https://llama.developer.meta.com/docs",
        key_env=("LLAMA_API_KEY",), aliases=("meta-llama",),
    ),
    Provider(
        "nvidia", "https://integrate.api.nvidia.com/v1", "https://docs.api.nvidia.com/nim",
        key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"), aliases=("nim", "nvidia-nim"),
    ),
    Provider(
        "azure", "",
        "https://github.com/Azure/azure-rest-api-specs/blob/main/specification/cognitiveservices/"
        "data-plane/AzureOpenAI/inference/stable/2024-10-21/inference.yaml",
        taken=READ, auth="api-key",
        hosts=(
            "openai.azure.com", "*.openai.azure.com", "azure-api.net", "*.azure-api.net",
            "cognitiveservices.azure.com", "*.cognitiveservices.azure.com",
            "services.ai.azure.com", "*.services.ai.azure.com",
        ), key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"), aliases=("azure-openai",),
    ),
    Provider(
        "nebius", "https://api.tokenfactory.nebius.com/v1",
        "https://github.com/Helicone/helicone/tree/main/packages/cost/models/providers", taken=READ,
        hosts=("api.tokenfactory.nebius.com", "api.studio.nebius.ai", "api.studio.nebius.com"),
        key_env=("NEBIUS_API_KEY",),
    ),
    Provider("local", "", CONTRACT, auth="none", hosts=("127.0.0.1", "localhost", "::1")),
    Provider(
        "helicone", "https://inference.helicone.ai/openai/v1", CONTRACT,
        hosts=("oai.hconeai.com", "inference.helicone.ai"),
    ),
    Provider("amdbartek", "", CONTRACT, hosts=("*.amdbartek.dev",)),
    Provider(
        "anyscale", "https://api.endpoints.anyscale.com/v1", CONTRACT,
        key_env=("ANYSCALE_API_KEY",),
    ),
    Provider(
        "cloudflare", "https://gateway.ai.cloudflare.com/v1",
        "https://www.npmjs.com/package/workers-ai-provider", taken=READ,
        key_env=("CLOUDFLARE_API_TOKEN",),
    ),
    Provider("2yfv", "https://api.2yfv.com", CONTRACT),
    Provider(
        "together", "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/error-codes", taken=READ,
        hosts=("api.together.xyz", "api.together.ai"), key_env=("TOGETHER_API_KEY",),
        aliases=("together-ai", "togetherai"),
    ),
    Provider(
        "lemonfox", "https://api.lemonfox.ai/v1",
        "https://github.com/Portkey-AI/gateway/tree/main/src/providers/lemonfox-ai", taken=READ,
        key_env=("LEMONFOX_API_KEY",),
    ),
    Provider(
        "fireworks", "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/guides/inference-error-codes", taken=READ,
        key_env=("FIREWORKS_API_KEY",), aliases=("fireworks-ai",),
    ),
    # /chat/completions ended on 2026-09-27 (403); /v1/responses is its Agent API.
    Provider(
        "perplexity", "https://api.perplexity.ai",
        "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/how-to", taken=READ,
        key_env=("PERPLEXITY_API_KEY",),
    ),
    Provider(
        "vertex", "https://{region}-aiplatform.googleapis.com",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors",
        taken=READ, dialect="vertex", record_name="GOOGLE", region="us-central1",
        hosts=("aiplatform.googleapis.com", "*-aiplatform.googleapis.com"),
        key_env=("GOOGLE_APPLICATION_CREDENTIALS",), aliases=("vertex-ai", "google-vertex"),
    ),
    Provider(
        "google-ai-studio", "https://generativelanguage.googleapis.com",
        "https://ai.google.dev/gemini-api/docs/generate-content/api-errors", taken=READ,
        auth="query:key", dialect="gemini", record_name="GOOGLE",
        hosts=("generativelanguage.googleapis.com", "*.googleapis.com"),
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"), aliases=("google", "gemini"),
    ),
    Provider(
        "openrouter", "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/api/reference/errors-and-debugging", taken=READ,
        hosts=("openrouter.ai", "api.openrouter.ai"), key_env=("OPENROUTER_API_KEY",),
    ),
    Provider("wisdominanutshell", "https://api.wisdominanutshell.academy", CONTRACT),
    Provider(
        "groq", "https://api.groq.com/openai/v1",
        "https://console.groq.com/docs/errors", taken=READ, key_env=("GROQ_API_KEY",),
    ),
    Provider(
        "cohere", "https://api.cohere.ai/compatibility/v1",
        "https://docs.cohere.com/v1/reference/errors", taken=READ,
        hosts=("api.cohere.ai", "api.cohere.com"), key_env=("COHERE_API_KEY", "CO_API_KEY"),
    ),
    Provider(
        "mistral", "https://api.mistral.ai/v1",
        "https://docs.mistral.ai/resources/error-glossary", taken=READ,
        key_env=("MISTRAL_API_KEY",), aliases=("mistral-ai",),
    ),
    Provider(
        "deepinfra", "https://api.deepinfra.com/v1/openai",
        "https://github.com/Portkey-AI/gateway/tree/main/src/providers/deepinfra", taken=READ,
        key_env=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
    ),
    Provider(
        "qstash", "https://qstash.upstash.io", "https://upstash.com/docs/qstash",
        key_env=("QSTASH_TOKEN",),
    ),
    Provider(
        "firecrawl", "https://api.firecrawl.dev", "https://docs.firecrawl.dev/api-reference",
        key_env=("FIRECRAWL_API_KEY",),
    ),
    Provider(
        "bedrock", "https://bedrock-runtime.{region}.amazonaws.com",
        "https://github.com/boto/botocore/blob/develop/"
        "botocore/data/bedrock-runtime/2023-09-30/service-2.json",
        taken=READ, auth="aws-sigv4", dialect="bedrock", record_name="AWS", region="us-east-1",
        hosts=("bedrock-runtime.*.amazonaws.com", "bedrock-runtime-fips.*.amazonaws.com"),
        key_env=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        aliases=("aws", "aws-bedrock"),
    ),
    Provider(
        "deepseek", "https://api.deepseek.com",
        "https://api-docs.deepseek.com/quick_start/error_codes", taken=READ,
        key_env=("DEEPSEEK_API_KEY",),
    ),
    Provider(
        "avian", "https://api.avian.io/v1", "https://avian.io/docs", key_env=("AVIAN_API_KEY",),
    ),
    Provider(
        "xai", "https://api.x.ai/v1", "https://docs.x.ai/developers/debugging", taken=READ,
        record_name="X", key_env=("XAI_API_KEY",), aliases=("x", "x-ai", "grok"),
    ),
    Provider(
        "novita", "https://api.novita.ai/openai/v1",
        "https://novita.ai/docs/guides/error", taken=READ, key_env=("NOVITA_API_KEY",),
    ),
    Provider(
        "openpipe", "https://api.openpipe.ai/api/v1", "https://docs.openpipe.ai",
        key_env=("OPENPIPE_API_KEY",),
    ),
    Provider(
        "chutes", "https://llm.chutes.ai/v1",
        "https://github.com/Helicone/helicone/tree/main/packages/cost/models/providers", taken=READ,
        hosts=("llm.chutes.ai", "chutes.com", "llm.chutes.com"), key_env=("CHUTES_API_KEY",),
    ),
    Provider(
        "vercel", "https://ai-gateway.vercel.sh/v1",
        "https://vercel.com/docs/ai-gateway/sdks-and-apis/openai-chat-completions", taken=READ,
        key_env=("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY"), aliases=("vercel-ai-gateway",),
    ),
    Provider(
        "cerebras", "https://api.cerebras.ai/v1",
        "https://inference-docs.cerebras.ai/api-reference", taken=READ,
        key_env=("CEREBRAS_API_KEY",),
    ),
    Provider(
        "canopywave", "https://inference.canopywave.io/v1", CONTRACT,
        key_env=("CANOPYWAVE_API_KEY",),
    ),
    Provider(
        "baseten", "https://inference.baseten.co/v1",
        "https://docs.baseten.co/quickstart", taken=READ, key_env=("BASETEN_API_KEY",),
    ),
    Provider(
        "hyperbolic", "https://api.hyperbolic.xyz/v1",
        "https://github.com/Portkey-AI/gateway/tree/main/src/providers/hyperbolic", taken=READ,
        key_env=("HYPERBOLIC_API_KEY",),
    ),
    Provider(
        "predibase", "https://api.app.predibase.com",
        "https://github.com/Portkey-AI/gateway/tree/main/src/providers/predibase", taken=READ,
        hosts=("api.app.predibase.com", "serving.app.predibase.com"),
        key_env=("PREDIBASE_API_TOKEN",),
    ),
)  # fmt: skip
