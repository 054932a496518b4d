"""`[routers.<name>]` as a plan: its targets, checked, and which model each is asked for.

Pure. Complaints are one line that names the option; who is behind a provider's id is decided by
the table of providers (`assembly_routers.py`).
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.core.router_health import HealthRules
from appliance.core.router_policy import Strategy
from appliance.core.urls import parse_target

TARGETS_MAX: Final = 16
MODELS_MAX: Final = 1000
TEXT_CHARACTERS_MAX: Final = 256
WEIGHT_MAX: Final = 1_000_000
KEYS: Final = ("name", "provider", "base_url", "model", "models", "weight")


class RouterPlanError(ValueError):
    """A router that cannot be; the text is one line for a person."""


@dataclass(frozen=True, slots=True)
class RouterTarget:
    """One target: a provider's id or a base URL. With `models` it serves the models named there,
    each under the name that it has here; `model` is what it is asked for in place of any other."""

    name: str
    provider: str = ""
    base_url: str = ""
    model: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1

    def model_for(self, asked: str) -> str | None:
        """What it calls the model that was asked for; None where it does not serve it. Requests
        without a model ("") it serves as they are."""
        if not asked:
            return ""
        return self.models.get(asked) or self.model or (None if self.models else asked)


@dataclass(frozen=True, slots=True)
class RouterPlan:
    """A router. `hedge_after_s`: ask a second target as well when the first has not begun to
    answer by then. `limited_s`: how long a target is left out after a 429 that does not say.
    `forward_key`: whether a client's own key goes to the targets; None: if all are one provider."""

    name: str
    targets: tuple[RouterTarget, ...]
    strategy: Strategy = "weighted"
    rules: HealthRules = field(default_factory=HealthRules)
    limited_s: float = 30.0
    hedge_after_s: float | None = None
    forward_key: bool | None = None

    @property
    def reads_model(self) -> bool:
        """Whether the request's body has to be read."""
        return self.strategy == "cost" or self.maps_models

    @property
    def maps_models(self) -> bool:
        """Whether any target is asked for another model than the client asks for."""
        return any(target.model or target.models for target in self.targets)


def parse_targets(rows: Sequence[Mapping[str, object]], where: str) -> tuple[RouterTarget, ...]:
    """The targets of a router. Raises RouterPlanError."""
    if not rows:
        raise RouterPlanError(f"{where} is missing: a router has at least one [[{where}]]")
    if len(rows) > TARGETS_MAX:
        raise RouterPlanError(f"{where}: {len(rows)} are given, at most {TARGETS_MAX} are allowed")
    found: list[RouterTarget] = []
    for number, row in enumerate(rows, 1):
        target = _target(row, f"{where}[{number}]")
        if target.name in {other.name for other in found}:
            raise RouterPlanError(
                f"{where}[{number}]: another target is called {target.name}: give it a name"
            )
        found.append(target)
    if not any(target.weight for target in found):
        raise RouterPlanError(f"{where}: all have the weight 0: give one of them more")
    return tuple(found)


def _target(row: Mapping[str, object], where: str) -> RouterTarget:
    for key in row:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(KEYS)}"
            raise RouterPlanError(f'unknown option "{where}.{key}": {hint}')
    provider, base_url = _text(row, "provider", where), _text(row, "base_url", where)
    if bool(provider) == bool(base_url):
        raise RouterPlanError(f"{where}: give provider or base_url, one of the two")
    host = ""
    if base_url:
        try:
            host = parse_target(base_url).netloc
        except ValueError as error:
            raise RouterPlanError(f"{where}.base_url {error}") from None
    model = _text(row, "model", where)
    name = _text(row, "name", where) or "/".join(filter(None, (provider or host, model)))
    return RouterTarget(
        name, provider, base_url, model, _models(row.get("models", {}), where), _weight(row, where)
    )


def _text(row: Mapping[str, object], key: str, where: str) -> str:
    value = row.get(key, "")
    if isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX and value.isprintable():
        value = value.strip()
        if value or key not in row:
            return value
    most = TEXT_CHARACTERS_MAX
    raise RouterPlanError(f"{where}.{key}: allowed is text of 1 to {most} characters")


def _models(value: object, where: str) -> Mapping[str, str]:
    items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, Mapping) else ((None, 0),)
    found = {}
    for asked, sent in items:
        if not (isinstance(asked, str) and asked and isinstance(sent, str) and sent):
            raise RouterPlanError(
                f"{where}.models: allowed is a table of names, as {{ asked = 'sent' }}"
            )
        found[asked] = sent
    if len(found) > MODELS_MAX:
        raise RouterPlanError(f"{where}.models: {len(found)} are given, at most {MODELS_MAX}")
    return found


def _weight(row: Mapping[str, object], where: str) -> int:
    value = row.get("weight", 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= WEIGHT_MAX:
        raise RouterPlanError(f"{where}.weight: allowed is a whole number from 0 to {WEIGHT_MAX}")
    return value
