"""How much a Gemini model shall think: an effort, a budget or a level, by the model's generation
(`proxy.md 11.3`).

Generation 3 has levels; 2.5 has budgets, and its larger model cannot stop; older ones do not think.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from appliance.providers.dialects.common import Json, check_part, object_at, refused, string

MODELS_MAX: Final = 1024
SERVICE: Final = "Gemini"
OPTIONS: Final = frozenset({"budget_tokens", "thinking_level"})
# As much as the model sees fit.
DYNAMIC: Final = -1
LEVEL_DEFAULT: Final = "low"
LEVELS: Final = {
    "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high",
    "max": "high",
}  # fmt: skip
VERSION: Final = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?![0-9])")


class Kind(NamedTuple):
    """What a model's name tells. `version` is (0, 0) for a name without one: an alias, a tuned
    model."""

    version: tuple[int, int]
    is_pro: bool
    is_plain: bool

    @property
    def has_levels(self) -> bool:
        return self.version >= (3, 0)

    @property
    def signs_calls(self) -> bool:
        """Whether it may refuse a call of its own that comes back without its signature."""
        return self.has_levels or not any(self.version)

    @property
    def thinks(self) -> bool:
        return self.version >= (2, 5) or not any(self.version)


@lru_cache(maxsize=MODELS_MAX)
def kind_of(model_id: str) -> Kind:
    name = model_id.lower()
    found = VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    special = any(word in name for word in ("-image", "-tts", "-live", "embedding", "-audio"))
    return Kind(version, "-pro" in name, not special)


def thinking_config(chat: Json, model_id: str) -> Json | None:
    """`thinkingConfig`, or None where the model's own default holds."""
    kind = kind_of(model_id)
    effort = _effort(chat)
    options = object_at(chat.get("reasoning_options") or {}, "reasoning_options")
    check_part(options, OPTIONS, "reasoning_options", SERVICE)
    budget, level = options.get("budget_tokens"), options.get("thinking_level")
    if budget is not None and level is not None:
        raise refused("reasoning_options", "give one of budget_tokens, thinking_level")
    if budget is not None:
        if type(budget) is not int or budget < DYNAMIC:
            raise refused("reasoning_options.budget_tokens", "a number of tokens, or -1")
        return _told({"thinkingBudget": budget}) if budget else {"thinkingBudget": 0}
    if level is not None:
        if not string(level):
            raise refused("reasoning_options.thinking_level", "a word is needed: low, high")
        return _told({"thinkingLevel": level})
    if effort == "none":
        return _stopped(kind, model_id)
    if effort:
        if not kind.thinks:
            raise refused("reasoning_effort", f"{model_id} does not think; leave it out")
        if kind.has_levels:
            return _told({"thinkingLevel": _level(effort, kind)})
        return _told({"thinkingBudget": DYNAMIC})
    return _unasked(kind)


def _effort(chat: Json) -> str:
    """The effort asked for: "none" also by the other field that says so, "" for no wish."""
    effort = chat.get("reasoning_effort")
    if effort is None:
        return "none" if chat.get("disable_reasoning") else ""
    if effort != "none" and string(effort) not in LEVELS:
        raise refused("reasoning_effort", f"one of none, {', '.join(LEVELS)}")
    return "none" if chat.get("disable_reasoning") else string(effort)


def _level(effort: str, kind: Kind) -> str:
    """The larger models know fewer levels."""
    level = LEVELS[effort]
    if kind.is_pro and level == "minimal":
        return "low"
    if kind.is_pro and level == "medium" and kind.version == (3, 0):
        return "high"
    return level


def _stopped(kind: Kind, model_id: str) -> Json | None:
    if kind.has_levels or (kind.is_pro and kind.thinks):
        raise refused("reasoning_effort", f"{model_id} cannot stop thinking; ask for low")
    return {"thinkingBudget": 0} if kind.thinks else None


def _unasked(kind: Kind) -> Json | None:
    """Without a wish: little or no thinking, where the model lets us say so."""
    if not kind.is_plain or not kind.thinks or not any(kind.version):
        return None
    if kind.has_levels:
        return {"thinkingLevel": LEVEL_DEFAULT}
    return None if kind.is_pro else {"thinkingBudget": 0}


def _told(config: Json) -> Json:
    """Who asks for thoughts is shown what there is to see of them."""
    return {**config, "includeThoughts": True}
