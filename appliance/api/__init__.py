"""api: FastAPI routers, one per resource."""
