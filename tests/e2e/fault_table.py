"""What came of each fault of a provider, buffered and streamed, in every lane.

In the order of LANES: the target itself; the same with one retry; two targets of Helicone-Fallbacks
(for these two all is well at the second call); a model of the gateway in its provider's own format,
and one that is translated. Each says

    status, how the reply's body ended · outcome on record · calls on record · what was billed

billed: `nothing`, `counted` by the provider's own count, or `estimated` from what had been seen. A
stream of OpenAI's counts only for those who ask, as the gateway does, and a reply in which no count
has come is estimated. So is a body that breaks off when nothing of it was passed on (the gateway
maps it as a whole): the call has failed, and its provider charges for it.
"""

LANES = ("plain", "retries", "fallbacks", "gateway", "translated")

TABLE = {
    ("429", "buffered"): (
        "429 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · counted",
        "200 clean · complete · 2 · counted",
        "429 clean · complete · 1 · nothing",
        "429 clean · complete · 1 · nothing",
    ),
    ("429", "stream"): (
        "429 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · estimated",
        "200 clean · complete · 2 · estimated",
        "429 clean · complete · 1 · nothing",
        "429 clean · complete · 1 · nothing",
    ),
    ("429, Retry-After", "buffered"): (
        "429 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · counted",
        "200 clean · complete · 2 · counted",
        "429 clean · complete · 1 · nothing",
        "429 clean · complete · 1 · nothing",
    ),
    ("429, Retry-After", "stream"): (
        "429 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · estimated",
        "200 clean · complete · 2 · estimated",
        "429 clean · complete · 1 · nothing",
        "429 clean · complete · 1 · nothing",
    ),
    ("500 once", "buffered"): (
        "500 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · counted",
        "200 clean · complete · 2 · counted",
        "500 clean · complete · 1 · nothing",
        "500 clean · complete · 1 · nothing",
    ),
    ("500 once", "stream"): (
        "500 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · estimated",
        "200 clean · complete · 2 · estimated",
        "500 clean · complete · 1 · nothing",
        "500 clean · complete · 1 · nothing",
    ),
    ("503", "buffered"): (
        "503 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · counted",
        "200 clean · complete · 2 · counted",
        "503 clean · complete · 1 · nothing",
        "503 clean · complete · 1 · nothing",
    ),
    ("503", "stream"): (
        "503 clean · complete · 1 · nothing",
        "200 clean · complete · 2 · estimated",
        "200 clean · complete · 2 · estimated",
        "503 clean · complete · 1 · nothing",
        "503 clean · complete · 1 · nothing",
    ),
    ("reset before headers", "buffered"): (
        "502 clean · cut · 1 · nothing",
        "200 clean · complete · 2 · counted",
        "200 clean · complete · 2 · counted",
        "502 clean · cut · 1 · nothing",
        "502 clean · cut · 1 · nothing",
    ),
    ("reset before headers", "stream"): (
        "502 clean · cut · 1 · nothing",
        "200 clean · complete · 2 · estimated",
        "200 clean · complete · 2 · estimated",
        "502 clean · cut · 1 · nothing",
        "502 clean · cut · 1 · nothing",
    ),
    ("silence", "buffered"): (
        "504 clean · timeout_first_byte · 1 · nothing",
        "504 clean · timeout_first_byte · 1 · nothing",
        "200 clean · complete · 2 · counted",
        "504 clean · timeout_first_byte · 1 · nothing",
        "504 clean · timeout_first_byte · 1 · nothing",
    ),
    ("silence", "stream"): (
        "504 clean · timeout_first_byte · 1 · nothing",
        "504 clean · timeout_first_byte · 1 · nothing",
        "200 clean · complete · 2 · estimated",
        "504 clean · timeout_first_byte · 1 · nothing",
        "504 clean · timeout_first_byte · 1 · nothing",
    ),
    ("slow first token", "buffered"): (
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · counted",
    ),
    ("slow first token", "stream"): (
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · counted",
        "200 clean · complete · 1 · counted",
    ),
    ("cut", "buffered"): (
        "200 cut · cut · 1 · counted",
        "200 cut · cut · 1 · counted",
        "200 cut · cut · 1 · counted",
        "502 clean · cut · 1 · counted",
        "502 clean · cut · 1 · estimated",
    ),
    ("cut", "stream"): (
        "200 cut · cut · 1 · estimated",
        "200 cut · cut · 1 · estimated",
        "200 cut · cut · 1 · estimated",
        "200 cut · cut · 1 · estimated",
        "200 cut · cut · 1 · estimated",
    ),
    ("stall", "buffered"): (
        "200 cut · timeout_gap · 1 · counted",
        "200 cut · timeout_gap · 1 · counted",
        "200 cut · timeout_gap · 1 · counted",
        "504 clean · timeout_gap · 1 · counted",
        "504 clean · timeout_gap · 1 · estimated",
    ),
    ("stall", "stream"): (
        "200 cut · stalled · 1 · estimated",
        "200 cut · stalled · 1 · estimated",
        "200 cut · stalled · 1 · estimated",
        "200 cut · stalled · 1 · estimated",
        "200 cut · stalled · 1 · estimated",
    ),
    ("malformed", "buffered"): (
        "200 clean · malformed · 1 · counted",
        "200 clean · malformed · 1 · counted",
        "200 clean · malformed · 1 · counted",
        "200 clean · malformed · 1 · counted",
        "200 clean · malformed · 1 · estimated",
    ),
    ("malformed", "stream"): (
        "200 cut · malformed · 1 · estimated",
        "200 cut · malformed · 1 · estimated",
        "200 cut · malformed · 1 · estimated",
        "200 cut · malformed · 1 · estimated",
        "200 cut · malformed · 1 · estimated",
    ),
    ("no [DONE]", "buffered"): (
        "200 clean · complete · 1 · counted",
        "200 clean · complete · 1 · counted",
        "200 clean · complete · 1 · counted",
        "200 clean · complete · 1 · counted",
        "200 clean · complete · 1 · counted",
    ),
    ("no [DONE]", "stream"): (
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · estimated",
        "200 clean · complete · 1 · counted",
        "200 clean · complete · 1 · counted",
    ),
    ("context length", "buffered"): (
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
    ),
    ("context length", "stream"): (
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
    ),
    ("content filter", "buffered"): (
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
    ),
    ("content filter", "stream"): (
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
        "400 clean · complete · 1 · nothing",
    ),
    ("error in a 200", "buffered"): (
        "200 clean · error_in_200 · 1 · estimated",
        "200 clean · error_in_200 · 1 · estimated",
        "200 clean · error_in_200 · 1 · estimated",
        "502 clean · error_in_200 · 1 · nothing",
        "502 clean · error_in_200 · 1 · nothing",
    ),
    ("error in a 200", "stream"): (
        "200 clean · error_in_200 · 1 · estimated",
        "200 clean · error_in_200 · 1 · estimated",
        "200 clean · error_in_200 · 1 · estimated",
        "200 clean · error_in_200 · 1 · estimated",
        "200 clean · error_in_200 · 1 · estimated",
    ),
}
