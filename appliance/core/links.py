"""Under which URL clients reach this server: what links that leave the house begin with.

Pure. `public_url` where it is set; else what the request itself came by, told by a trusted proxy or
by its Host. Without a request, as for webhooks and mails, only `public_url` counts: a guess would
send people to a wrong place.
"""

from appliance.core.forwarded import Caller


def base_url(public_url: str | None, caller: Caller | None) -> str | None:
    """Without a slash at its end; None where nothing says how we are reached."""
    if public_url:
        return public_url.rstrip("/")
    if caller is None or not caller.host:
        return None
    return f"{caller.scheme or 'http'}://{caller.host}"
