"""helicone-async: the OpenAI SDK, watched by Traceloop. Arguments: where traces go, where the model
is, and a key."""

import json
import sys

from helicone_async import HeliconeAsyncLogger
from openai import OpenAI

traces, model_url, key = sys.argv[1:]
logger = HeliconeAsyncLogger(api_key=key, base_url=traces)
logger.init()
logger.set_properties(
    {
        "Helicone-User-Id": "ada",
        "Helicone-Session-Id": "s-1",
        "Helicone-Session-Path": "/plan",
        "Helicone-Property-Tier": "gold",
    }
)
client = OpenAI(base_url=model_url, api_key="sk-test", max_retries=0)
ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
text = client.chat.completions.create(**ask).choices[0].message.content
with client.chat.completions.create(
    **ask, stream=True, stream_options={"include_usage": True}
) as stream:
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
print(json.dumps({"text": text, "streamed": streamed}))
