"""door: how requests come in."""
