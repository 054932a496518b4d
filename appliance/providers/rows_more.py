"""Hosted services that speak the OpenAI wire format and that nobody has compared with a page yet.

They work like the others, and are listed as `generic`: `doc` says where to look. Data only.
"""

from appliance.providers.table import Provider

# id, base URL, page to check it on, environment names of its key, other ids
_HOSTED: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("abliteration", "https://api.abliteration.ai/v1", "https://docs.abliteration.ai",
     ("ABLITERATION_API_KEY",), ()),
    ("aihubmix", "https://aihubmix.com/v1", "https://docs.aihubmix.com",
     ("AIHUBMIX_API_KEY",), ()),
    ("arcee", "https://api.arcee.ai/api/v1", "https://docs.arcee.ai",
     ("ARCEE_API_KEY",), ()),
    ("baichuan", "https://api.baichuan-ai.com/v1", "https://platform.baichuan-ai.com/docs",
     ("BAICHUAN_API_KEY",), ()),
    ("clarifai", "https://api.clarifai.com/v2/ext/openai/v1", "https://docs.clarifai.com",
     ("CLARIFAI_PAT", "CLARIFAI_API_KEY"), ()),
    ("doubleword", "https://api.doubleword.ai/v1", "https://docs.doubleword.ai",
     ("DOUBLEWORD_API_KEY",), ()),
    ("empower", "https://app.empower.dev/api/v1", "https://docs.empower.dev",
     ("EMPOWER_API_KEY",), ()),
    ("galadriel", "https://api.galadriel.ai/v1", "https://docs.galadriel.com",
     ("GALADRIEL_API_KEY",), ()),
    ("github-copilot", "https://api.githubcopilot.com", "https://docs.github.com/copilot",
     ("GITHUB_COPILOT_TOKEN",), ()),
    ("inception", "https://api.inceptionlabs.ai/v1", "https://docs.inceptionlabs.ai",
     ("INCEPTION_API_KEY",), ()),
    ("internlm", "https://chat.intern-ai.org.cn/api/v1", "https://internlm.intern-ai.org.cn/api",
     ("INTERNLM_API_KEY",), ()),
    ("llamagate", "https://api.llamagate.dev/v1", "https://llamagate.dev",
     ("LLAMAGATE_API_KEY",), ()),
    ("morph", "https://api.morphllm.com/v1", "https://docs.morphllm.com",
     ("MORPH_API_KEY",), ()),
    ("publicai", "https://api.publicai.co/v1", "https://platform.publicai.co/docs",
     ("PUBLICAI_API_KEY",), ()),
    ("replicate", "https://api.replicate.com/v1", "https://replicate.com/docs/reference/http",
     ("REPLICATE_API_TOKEN",), ()),
    ("salad", "https://ai.salad.cloud/v1", "https://docs.salad.com",
     ("SALAD_CLOUD_API_KEY",), ("saladcloud",)),
    ("stepfun", "https://api.stepfun.com/v1", "https://platform.stepfun.com/docs",
     ("STEPFUN_API_KEY",), ()),
    ("synthetic", "https://api.synthetic.new/openai/v1", "https://dev.synthetic.new/docs",
     ("SYNTHETIC_API_KEY",), ()),
    ("tencent", "https://api.hunyuan.cloud.tencent.com/v1", "https://cloud.tencent.com/document",
     ("HUNYUAN_API_KEY",), ("hunyuan",)),
    ("xiaomi", "https://api.xiaomimimo.com/v1", "https://platform.xiaomimimo.com",
     ("XIAOMI_MIMO_API_KEY",), ("mimo",)),
)  # fmt: skip

MORE_ROWS: tuple[Provider, ...] = (
    *(Provider(row_id, url, doc, key_env=env, aliases=aliases)
      for row_id, url, doc, env, aliases in _HOSTED),
    Provider(
        "crusoe", "https://api.inference.crusoecloud.com/v1", "https://docs.crusoecloud.com",
        hosts=("api.inference.crusoecloud.com", "managed-inference-api-proxy.crusoecloud.com"),
        key_env=("CRUSOE_API_KEY",),
    ),
    Provider("modal", "", "https://modal.com/docs", hosts=("*.modal.run", "*.modal.direct"),
             key_env=("MODAL_API_KEY",)),
)  # fmt: skip
