"""What was written before a master key was set: sealed, or made superfluous and removed.

Runs in the helper process. Segments and blobs need nothing of it: the next rolls take them into
files that are sealed.
"""

from storage.analytics_failure import remove
from storage.lake import Lake
from storage.manifest import Step, no_step
from storage.rewrite import Edition


def seal_plain(lake: Lake, step: Step = no_step) -> int:
    """Rewrites each plain file of an encrypted root, one after another; how many."""
    if not lake.epoch:
        return 0
    remove(lake.root / "analytics.duckdb")  # its rows are held in memory now
    plain = [file for file in lake.manifest.files if not file.key_epoch]
    for file in plain:
        edition = Edition(lake, step)
        edition.join([file])
        step("files complete")
        edition.commit()
    return len(plain)
