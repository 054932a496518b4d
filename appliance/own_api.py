"""Placeholder until api lands."""
def gauges_of(server):
    def g(): return []
    return g
def api_app(server):
    async def app(scope, receive, send):
        if scope["type"]=="lifespan":
            while True:
                m=await receive()
                await send({"type": m["type"]+".complete"})
                if m["type"]=="lifespan.shutdown": return
        await send({"type":"http.response.start","status":200,"headers":[(b"content-type",b"application/json")]})
        await send({"type":"http.response.body","body":server.house.metrics.render().encode()})
    return app
