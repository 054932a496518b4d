"""The gateway's `model` string: names in order, pinned providers, exclusions (proxy.md 6.4).

    model = item *("," item)
    item  = "!" provider                               ; none of this provider, for the whole call
          / name [":online"] ["/" provider ["/" key]]  ; one stored key of it, where one is named
          / provider "/" name [":online"]              ; the other order, as other gateways have it

Which names exist is asked of a catalog. What is sent, and in which order, is decided in
attempts.py.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from appliance.errors import Refusal

MODEL_CHARACTERS_MAX: Final = 4096
ITEMS_MAX: Final = 32
SHOWN_CHARACTERS_MAX: Final = 100
PLANS_REMEMBERED_MAX: Final = 512
ONLINE: Final = ":online"


class Catalog(Protocol):
    """Which models and providers there are. Answers never change while a catalog is in use."""

    def model_of(self, name: str) -> str:
        """The registry's name of a model, by that name or another one it goes by; or ""."""

    def provider_of(self, name: str) -> str:
        """The id of a provider, by id or alias; or ""."""

    def serves(self, model: str, provider: str) -> bool:
        """Whether the registry has this model at this provider."""


@dataclass(frozen=True, slots=True)
class ModelItem:
    """One model to try. Without `model` the registry does not know it: `name` is then sent as it
    is, to `provider`. Without `provider` every provider of the model is meant."""

    name: str
    model: str
    provider: str = ""
    key_id: str = ""
    online: bool = False

    @property
    def shown(self) -> str:
        return f"{self.name}/{self.provider}" if self.provider else self.name


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What a model string asks for."""

    items: tuple[ModelItem, ...]
    excluded: frozenset[str] = frozenset()


def requested_model(document: object) -> str:
    """The `model` of a body. Raises Refusal 400 where it has none that can be read."""
    if not isinstance(document, dict):
        raise Refusal(400, "body_invalid", "The body is not a JSON object.")
    text = document.get("model")
    if text is None:
        raise Refusal(400, "model_missing", "The body has no model.")
    if not isinstance(text, str):
        raise Refusal(400, "model_invalid", "Invalid model: model is not a string.")
    return text


@lru_cache(maxsize=PLANS_REMEMBERED_MAX)
def parse_models(text: str, catalog: Catalog) -> ModelPlan:
    """Read a model string. Raises Refusal 400 that names the first item that cannot be meant."""
    if len(text) > MODEL_CHARACTERS_MAX:
        raise _invalid(f"model has more than {MODEL_CHARACTERS_MAX} characters")
    written = [item.strip() for item in text.split(",")]
    if len(written) > ITEMS_MAX:
        raise _invalid(f"model lists {len(written)} items, at most {ITEMS_MAX} are tried")
    items: list[ModelItem] = []
    excluded: set[str] = set()
    for number, item in enumerate(written, 1):
        if not item:
            raise _invalid(f"item {number} of model is empty")
        if item[0] == "!":
            excluded.add(_excluded(item, catalog))
            continue
        found = _item(item, catalog)
        if found not in items:
            items.append(found)
    if not items:
        raise _invalid(f"{_quoted(text)} names no model")
    return ModelPlan(tuple(items), frozenset(excluded))


def _excluded(item: str, catalog: Catalog) -> str:
    name = item[1:].strip()
    provider = catalog.provider_of(name)
    if not provider:
        raise Refusal(
            400, "model_invalid",
            f"Invalid provider: {_quoted(item)} excludes {_quoted(name) if name else 'nothing'},"
            " write ! and the id of a provider.",
        )  # fmt: skip
    return provider


def _item(item: str, catalog: Catalog) -> ModelItem:
    parts = item.split("/")
    if "" in parts or any(character <= " " for character in item):
        raise _invalid(f"{_quoted(item)} is not name/provider/key")
    if len(parts) == 1:
        name, online = _without_online(item)
        model = catalog.model_of(name)
        if not model:
            raise _invalid(
                f"{_quoted(item)} is no known model; GET /v1/models lists them, and any other is"
                " reached as name/provider"
            )
        return ModelItem(name, model, online=online)
    found = (
        _pinned(parts, catalog)
        or _provider_first(parts, catalog, registered=True)
        or _alias(item, catalog)
        or _slashed_name(parts, catalog)
        or _provider_first(parts, catalog, registered=False)
    )
    if found is None:
        raise Refusal(
            400, "model_invalid",
            f"Invalid provider: in {_quoted(item)}, {_quoted(parts[1])} is no known provider.",
        )  # fmt: skip
    return found


def _pinned(parts: list[str], catalog: Catalog) -> ModelItem | None:
    """`name/provider` and `name/provider/key`, the contract's own form."""
    provider = catalog.provider_of(parts[1])
    if not provider or len(parts) > 3:
        return None
    name, online = _without_online(parts[0])
    model = catalog.model_of(name)
    if len(parts) == 3 and not model and catalog.provider_of(name):
        return None  # `groq/openai/gpt-oss-120b`: a provider, and a name with a maker in it
    return ModelItem(name, model, provider, parts[2] if len(parts) == 3 else "", online)


def _provider_first(parts: list[str], catalog: Catalog, *, registered: bool) -> ModelItem | None:
    provider = catalog.provider_of(parts[0])
    if not provider:
        return None
    name, online = _without_online("/".join(parts[1:]))
    model = catalog.model_of(name)
    if registered and not (model and catalog.serves(model, provider)):
        return None
    return ModelItem(name, model, provider, "", online)


def _alias(item: str, catalog: Catalog) -> ModelItem | None:
    """A model under a name with a slash in it, as resellers have it: at every provider."""
    name, online = _without_online(item)
    model = catalog.model_of(name)
    return ModelItem(name, model, online=online) if model else None


def _slashed_name(parts: list[str], catalog: Catalog) -> ModelItem | None:
    """`maker/Name/provider`, for names that the registry does not know."""
    provider = catalog.provider_of(parts[-1])
    if not provider or len(parts) < 3:
        return None
    name, online = _without_online("/".join(parts[:-1]))
    return ModelItem(name, catalog.model_of(name), provider, "", online)


def _without_online(name: str) -> tuple[str, bool]:
    if name.endswith(ONLINE) and name != ONLINE:
        return name[: -len(ONLINE)], True
    return name, False


def _quoted(text: str) -> str:
    cut = text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "…"
    return repr(cut)


def _invalid(what: str) -> Refusal:
    return Refusal(400, "model_invalid", f"Invalid model: {what}.")
