"""Objects that no plugin registered: anything with Hugging Face's signature becomes a step.

Nothing is known of such an object, so a bind gives every row its own copy, and it is shown a copy of the scores. Of the
plain classes of transformers it is known that they keep nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...contracts.errors import InvalidInput
from ...contracts.specs import StepSpec, StrategySpec
from ...contracts.steps import Step, StrategyUse
from .copying import fresh_copy


@dataclass(frozen=True, eq=False)
class Opaque:
    """The factory of an unregistered step: a class with its arguments, or an instance to copy."""

    target: Any
    arguments: Mapping[str, object]

    @property
    def is_class(self) -> bool:
        return isinstance(self.target, type)

    def __call__(self) -> Callable[..., Any]:
        if self.is_class:
            built: Callable[..., Any] = self.target(**self.arguments)
            return built
        copied: Callable[..., Any] = _copied(self.target)
        return copied

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Opaque)
            and self.target is other.target
            and _same(self.arguments, other.arguments)
        )

    def __hash__(self) -> int:
        return hash((id(self.target), tuple(self.arguments)))


def opaque_step(
    target: Any, role: Literal["processor", "stop"], arguments: Mapping[str, object], stateless: bool
) -> Step:
    """A `Step` around `target`: a class (built with `arguments` at each bind), a function or an instance."""
    if not callable(target):
        raise InvalidInput(
            f"{target!r} cannot be a {role}: it cannot be called",
            remedy="give a registered name, or an object with (input_ids, scores)",
        )
    if arguments and not isinstance(target, type):
        raise InvalidInput(
            f"{_name(target)} is already built, so it takes no parameters: {sorted(arguments)}",
            remedy="add the class and its parameters: add(MyClass, strength=2)",
        )
    if isinstance(target, type):
        _check_arguments(target, arguments)
    stateless = stateless or keeps_nothing(target)
    traits = frozenset({"stateless", "reads_history"}) if stateless else frozenset()
    return Step(StepSpec(_name(target), role, Opaque(target, dict(arguments)), traits=traits))


def opaque_strategy(target: Any, arguments: Mapping[str, object]) -> StrategySpec:
    """A record around an object or class with `choose` or `decode`; a class is built with `arguments` at each bind.
    Its attributes `ranks`, `roles` and `min_keep`, where it has them, are those of the record."""
    if not (hasattr(target, "choose") or hasattr(target, "decode")):
        raise InvalidInput(
            f"{_name(target)} is no strategy: it has neither choose nor decode",
            remedy="give a registered name, or an object with choose(scores, rng) or decode(run)",
        )
    if arguments and not isinstance(target, type):
        raise InvalidInput(
            f"{_name(target)} is already built, so it takes no parameters: {sorted(arguments)}",
            remedy="give the class and its parameters: with_strategy(MyClass, strength=2)",
        )
    return StrategySpec(
        _name(target),
        OpaqueStrategy(target, dict(arguments)),
        ranks=bool(getattr(target, "ranks", False)),
        roles=tuple(getattr(target, "roles", ())),
        min_keep=getattr(target, "min_keep", None),
    )


class OpaqueStrategy(Opaque):
    """The factory of an unregistered strategy. `choose` and `decode` show what it makes."""

    def __getattr__(self, name: str) -> Any:
        if name in ("choose", "decode"):
            return getattr(self.target, name)
        raise AttributeError(name)


def is_opaque(step: Step | StrategyUse) -> bool:
    return isinstance(step.spec.factory, Opaque)


def keeps_state(step: Step) -> bool:
    """Whether an unbound call must refuse the step. A built object is used as it is, as HF's own list would; a class
    has nobody to build and keep it, and an object that follows rows has state by its own word."""
    if "stateless" in step.spec.traits:
        return False
    factory = step.spec.factory
    if not isinstance(factory, Opaque):
        return True
    return factory.is_class or any(hasattr(factory.target, m) for m in ("observe", "select", "rewind"))


def class_of(step: Step) -> str | None:
    """The name of the class that the step was added as; None for objects and for registered steps."""
    factory = step.spec.factory
    return factory.target.__name__ if isinstance(factory, Opaque) and factory.is_class else None


def keeps_nothing(target: Any) -> bool:
    """Whether it is one of transformers' own processors whose answers depend on their arguments alone. A class derived
    from one may keep state."""
    kind = target if isinstance(target, type) else type(target)
    return kind.__module__ == "transformers.generation.logits_process" and kind.__name__ in _STATELESS


def knows_its_place(step: Step) -> bool:
    """Whether an object of transformers' looks rows up by their index in the batch it was built for, so that it cannot
    be called on one row at a time."""
    factory = step.spec.factory
    if not isinstance(factory, Opaque):
        return False
    kind = factory.target if factory.is_class else type(factory.target)
    return any(base.__name__ in _BY_INDEX for base in kind.__mro__)


_STATELESS = frozenset(
    {
        "EpsilonLogitsWarper",
        "EtaLogitsWarper",
        "ExponentialDecayLengthPenalty",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "InfNanRemoveLogitsProcessor",
        "LogitNormalization",
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "MinPLogitsWarper",
        "NoBadWordsLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "SequenceBiasLogitsProcessor",
        "SuppressTokensAtBeginLogitsProcessor",
        "SuppressTokensLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopHLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "TypicalLogitsWarper",
    }
)
_BY_INDEX = {
    "PrefixConstrainedLogitsProcessor",
    "EncoderNoRepeatNGramLogitsProcessor",
    "EncoderRepetitionPenaltyLogitsProcessor",
    "UnbatchedClassifierFreeGuidanceLogitsProcessor",
}


def _check_arguments(target: type, arguments: Mapping[str, object]) -> None:
    """Raises `InvalidInput` for arguments that the class does not take: now, and not where a run is bound."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # not Python's; building it will tell
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise InvalidInput(
            f"{target.__name__} cannot be built of {sorted(arguments) or 'nothing'}: {error}",
            remedy=f"give its parameters by name: add({target.__name__}, strength=2)",
        ) from None


def _same(ours: Mapping[str, object], theirs: Mapping[str, object]) -> bool:
    """Equal by name and value; tensors and the like, which answer `==` with a tensor, by identity."""
    if ours.keys() != theirs.keys():
        return False
    return all(ours[k] is theirs[k] or (not hasattr(ours[k], "shape") and ours[k] == theirs[k]) for k in ours)


def _name(target: Any) -> str:
    kind = target if isinstance(target, type) or hasattr(target, "__name__") else type(target)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__)
    return re.sub(r"\W+", "_", words).strip("_").lower() or "anonymous"


def _copied(target: Any) -> Any:
    try:
        return fresh_copy(target)
    except Exception as error:
        name = type(target).__name__
        raise InvalidInput(
            f"{name} cannot be copied for a new run: {type(error).__name__}: {error}",
            remedy=f"add the class instead: add({name}, ...)",
        ) from error
