"""The OpenTelemetry SDK with its exporter. Arguments: where traces go, the compression, a key."""

import json
import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

traces, compression, key = sys.argv[1:]
results = []


class Exporter(OTLPSpanExporter):
    def export(self, spans):
        result = super().export(spans)
        results.append(result is SpanExportResult.SUCCESS)
        return result


provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
exporter = Exporter(
    endpoint=traces,
    compression=Compression(compression),
    headers={"Authorization": f"Bearer {key}"},
)
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("shop")
with tracer.start_as_current_span("checkout") as root:
    trace_id = f"{root.get_span_context().trace_id:032x}"
    with tracer.start_as_current_span("chat gpt-4o") as call:
        call.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 4,
                "gen_ai.usage.output_tokens": 2,
                "gen_ai.input.messages": json.dumps(
                    [{"role": "user", "parts": [{"type": "text", "content": "ping"}]}]
                ),
            }
        )
    try:
        with tracer.start_as_current_span("execute_tool look") as tool:
            tool.set_attributes(
                {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}
            )
            raise LookupError("nothing there")
    except LookupError:
        pass
provider.shutdown()
print(json.dumps({"trace_id": trace_id, "results": results}))
