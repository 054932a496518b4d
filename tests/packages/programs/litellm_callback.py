"""LiteLLM with its Helicone callback. Arguments: our address, where the model is, and a key."""

import json
import os
import sys
import threading

base, model_url, key = sys.argv[1:]
os.environ["HELICONE_API_KEY"] = key
os.environ["HELICONE_API_BASE"] = base

import litellm  # noqa: E402 - it reads the environment
from litellm.integrations.helicone import HeliconeLogger  # noqa: E402

done = threading.Event()
usual = HeliconeLogger.log_success


def told(self, *arguments, **options):
    usual(self, *arguments, **options)
    done.set()


HeliconeLogger.log_success = told
litellm.success_callback = ["helicone"]
reply = litellm.completion(
    model="openai/gpt-4o",
    api_base=model_url,
    api_key="sk-test",
    num_retries=0,
    messages=[{"role": "user", "content": "Say hello."}],
    metadata={"Helicone-Property-Tier": "gold", "Helicone-User-Id": "ada"},
)
assert done.wait(60), "the callback has not run"
print(json.dumps(reply.choices[0].message.content))
