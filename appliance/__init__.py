"""helicone-appliance: LLM proxy, gateway and observability in one process."""

__version__ = "0.1.0"
