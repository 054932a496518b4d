"""When segments move into the lake, what is kept, and how that went."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RollerOptions:
    """Encrypted roots roll earlier: their hot rows are held in memory."""

    roll_bytes: int = 256 * 2**20
    roll_bytes_encrypted: int = 64 * 2**20
    roll_age_s: float = 3600.0
    job_bytes_max: int = 512 * 2**20  # segments of one roll; more are rolled one after another
    first_look_s: float = 5.0  # the start belongs to those who wait for it
    look_s: float = 10.0
    keep_s: float = 3600.0  # between two runs of retention and merging
    retry_first_s: float = 1.0
    retry_max_s: float = 600.0
    intent_s: float = 30.0  # a deletion is refused when its intent is not on disk by then
    retention_days: float | None = None
    retention_bytes: int | None = None
    retention_datasets: bool = True


@dataclass
class RollerStats:
    rolls: int = 0
    rolled_frames: int = 0
    rolled_bytes: int = 0
    damages: int = 0
    failures: int = 0
    progress_frames: int = 0  # of the roll under way
    rolled_at_s: float | None = None
    short_bytes: int = 0  # over `retention_bytes`, and not the lake's to free
    error: str | None = None  # why it stands still, None while it works
