"""Stored rate limits in memory: organisation → its policies, in the order they are tried.

Filled by the key ring, which reads the state store; asked with each request of a `-rl-` key.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from appliance.core.rate_choice import ranked
from appliance.core.rate_policy import Policy, PolicyInvalid, parse_policy
from storage.rate_policies import RatePolicyRow

log = logging.getLogger(__name__)

NONE: Final[Sequence[Policy]] = ()

# None: what is stored for the organisation cannot be read, so nothing is enforced.
Policies = Mapping[bytes, Sequence[Policy] | None]


def policies_of(rows: Iterable[RatePolicyRow]) -> Policies:
    """The policies by organisation. One row that is no policy switches those of its organisation
    off: which of them would have applied cannot be said any more."""
    by_org: dict[bytes, list[Policy] | None] = {}
    for row in rows:
        try:
            org = uuid.UUID(row.organization_id).bytes
        except ValueError:
            log.warning("rate limits of an organisation whose id is no UUID are not enforced")
            continue
        known = by_org.setdefault(org, [])
        try:
            policy = parse_policy(row.policy)
        except PolicyInvalid as error:
            log.warning("rate limits of %s are not enforced: %s", row.organization_id, error)
            by_org[org] = None
            continue
        if known is not None:
            known.append(policy)
    return {org: None if found is None else ranked(found) for org, found in by_org.items()}
