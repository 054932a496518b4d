"""Files and rows: journal, blobs, analytics, lake, state. Knows nothing of HTTP."""
