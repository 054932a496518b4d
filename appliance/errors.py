"""The three kinds of error: Refusal (expected), UpstreamFailed (theirs), and bugs (asserts)."""

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """An expected no: made where the rule is broken, rendered once in the door.

    `status` is the HTTP status, `code` a short stable word for metrics and clients, `message` says
    what is wrong and what to do. `headers` go out with it. `body` is the JSON of a reply whose form
    the contract names, in place of the usual one; `recorded` is what the record keeps for it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        outcome: str = "refused",
        body: bytes | None = None,
        recorded: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.outcome = outcome
        self.body = body
        self.recorded = recorded


class UpstreamFailed(Exception):  # noqa: N818
    """The provider's side failed. `name` is one of the fixed outcome words, for metrics.

    `retryable` says whether another attempt could succeed: nothing of a reply was seen.
    """

    def __init__(self, name: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.retryable = retryable
