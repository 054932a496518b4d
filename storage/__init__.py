"""Files and rows: journal, blobs, analytics, lake, state. Knows nothing of HTTP."""

import os

# DuckDB writes segments of strings whole, with whatever its memory held where none of them lies:
# the text of a request that was deleted got back into the file that was made anew without it. So
# its allocator (jemalloc, in its packages for Linux) is to hand out zeros. It reads this when it is
# loaded, which only what lies in here does. Programs that `run` starts do not get to see it: it is
# no part of the environment as Python has it.
_ALLOCATOR = "DUCKDB_JE_MALLOC_CONF"
os.putenv(_ALLOCATOR, ",".join(filter(None, (os.environ.get(_ALLOCATOR), "zero:true"))))
