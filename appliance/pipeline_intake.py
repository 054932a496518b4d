"""What happens to a log or trace that is sent to us, in order. It is nobody's call: no provider, no
limit, no budget; admission and the record are those of every request."""

from __future__ import annotations

import msgspec

from appliance.core.access import AUTHENTICATE, STAND_IN, require_write
from appliance.core.headers import REPLY_ID
from appliance.core.otlp_reply import refused
from appliance.errors import Refusal
from appliance.exchange import Exchange, Headers
from appliance.features.admit import admit
from appliance.features.answer import attempt_reply, client_gone
from appliance.fence import closed
from appliance.house import House
from appliance.wire import Woken

PREPARE_S = 60.0
SPAN_KINDS = frozenset({"spans", "spans-python", "traces"})


async def take_in(x: Exchange, house: House) -> None:
    """Never raises for anything that a client does. Acknowledged is what is in the journal."""
    watch = x.reply.watch
    watch.enter("prepare", PREPARE_S)
    watch.total_s = x.started_s + house.config.deadlines.total_s
    headers: Headers = []
    try:
        admit(x, house.gate, house.ids)
        if x.facts.credentials.stand_in:
            raise Refusal(401, "stand_in_unknown", STAND_IN, headers=AUTHENTICATE)
        require_write(x.identity)
        house.recorder.budget.admit()
        intake = await house.intake()
        answer = await intake.take(x)
        status, kind, body = answer.status, answer.kind, answer.body
    except (Woken, OSError) as error:  # the client's side
        client_gone(x, error if isinstance(error, OSError) else None)
        return
    except Exception as error:  # closed: nothing is acknowledged that is not on record
        refusal = closed(x, "intake", error)
        house.log.warning("refused", status=refusal.status, code=refusal.code, id=x.request_id)
        status, kind = refusal.status, "application/json"
        body = msgspec.json.encode({"error": refusal.message})
        headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        if x.route.intake in SPAN_KINDS:
            sent_type = x.head.first.get(b"content-type", b"")
            body, kind = refused(sent_type, status, refusal.message)
    house.metrics.count("intake_total", kind=x.route.intake, status=f"{status // 100}xx")
    headers += [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    if x.reply_headers:
        x.reply_headers[0] = (REPLY_ID, x.request_id.encode())
    headers += x.reply_headers
    x.started = True
    sent = x.reply.start(status, b"", headers, len(body), body, last=True)
    await attempt_reply(x, sent)
