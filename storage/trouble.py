"""What is wrong with a disk, in fixed words, and how long to wait before trying it again."""

import errno
from dataclasses import dataclass

NO_SPACE, READ_ONLY, IO_ERROR, SLOW = "no_space", "read_only", "io_error", "slow"
_REASONS = {errno.ENOSPC: NO_SPACE, errno.EDQUOT: NO_SPACE, errno.EROFS: READ_ONLY}

RETRY_FIRST_S, RETRY_MAX_S = 0.05, 5.0


def reason_of(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, IO_ERROR)


@dataclass
class Trouble:
    """Failures in a row, the reason of the last one. A write and fsync that succeed end it."""

    reason: str | None = None
    failures: int = 0
    retry_at_s: float = 0.0

    @property
    def is_no_space(self) -> bool:
        return self.reason == NO_SPACE

    def failed(self, error: OSError, now_s: float) -> None:
        """The first failure is tried again at once: a new segment often lies on a good block."""
        self.failures += 1
        self.reason = reason_of(error)
        delay_s = 0.0
        if self.failures > 1:
            delay_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(self.failures - 2, 10))
        self.retry_at_s = now_s + delay_s

    def ended(self) -> None:
        self.reason, self.failures, self.retry_at_s = None, 0, 0.0
