"""upstream: how requests go out."""
