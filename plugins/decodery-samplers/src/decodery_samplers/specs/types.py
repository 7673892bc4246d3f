"""Kinds of parameters that several steps share."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from decodery.contracts.params import NonNegativeInt, PositiveInt, alias

MinKeep = Annotated[PositiveInt, alias("min_tokens_to_keep")]
Share = Annotated[float, Field(ge=0, le=1)]


def _many(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, (int, str)) and not isinstance(value, bool) else value


Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[tuple[NonNegativeInt | Text, ...], BeforeValidator(_many)]
"""Token ids or texts, one or a list of them; always held as a tuple."""
Texts = Annotated[tuple[Text, ...], BeforeValidator(_many)]
"""One text or a list of them; always held as a tuple."""


def _pairs(value: object) -> object:
    if isinstance(value, dict):
        value = list(value.items())
    if not isinstance(value, (list, tuple)):
        return value
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
        raise PydanticCustomError(
            "no_pairs", "must be pairs of a token and a number", {"remedy": 'write {"42": -100, " the": 2}'}
        )
    # JSON and YAML have string keys only; OpenAI's are ids in digits.
    return tuple(
        (int(key) if isinstance(key, str) and key.isascii() and key.isdecimal() else key, bias)
        for key, bias in value
    )


Biases = Annotated[
    tuple[tuple[NonNegativeInt | Text, Annotated[float, Field(allow_inf_nan=False)]], ...],
    BeforeValidator(_pairs),
]
"""A mapping of tokens (ids, or ids in digits, or texts) to numbers; always held as a tuple of pairs."""
Ids = Annotated[tuple[NonNegativeInt, ...], BeforeValidator(_many)]
"""Token ids, one or a list of them, or none."""
