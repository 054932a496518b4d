"""What the two ends of the deriving helper agree on."""

import struct

from storage.rows import BODY_COLUMNS

# The first argument of a frozen executable, which has no `-m`.
ARGUMENT = "derive-helper"
# A record: metadata, organisation and place, request, response.
LENGTHS = struct.Struct(">IIII")
# An answer: the rows; texts that are not as they were sent come behind, in their order.
ANSWER = struct.Struct(">I")
# In the place of a text's length.
AS_SENT = -1
NONE = -2

_NAMES = [name for name, _ in BODY_COLUMNS]
REQUEST, RESPONSE = _NAMES.index("request"), _NAMES.index("response")
