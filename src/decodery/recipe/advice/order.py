"""`surprising-order` and `bans-everything`: steps that stand where other engines would not have them."""

from __future__ import annotations

from collections.abc import Sequence

from ..report import Problems
from .chain import Link
from .facts import COMMUTE, HUGGING_FACE, LLAMA_CPP


def surprises(processors: Sequence[Link], warnings: Problems) -> None:
    """Each step is told of once, with the first step that it surprises behind; a dead one's order is no matter."""
    dead = {warning.path for warning in warnings}
    before: list[Link] = []
    for link in processors:
        if not link.is_neutral and link.path not in dead:
            for earlier in before:
                if _tell(earlier, link, warnings):
                    break
            before.append(link)


def _tell(earlier: Link, link: Link, warnings: Problems) -> bool:
    """Warn of `link` behind `earlier`, if that is worth it."""
    pair = (earlier.family, link.family)
    here, there = link.label, f"{earlier.label} ({earlier.path})"
    if pair == ("cut", "ban"):
        link.warn(
            warnings,
            "bans-everything",
            f"{here} comes after {there}, and may ban every token that was left",
            f"move it above {earlier.name}: Hugging Face and llama.cpp ban and bias before they cut",
        )
    elif pair == ("cut", "temperature"):
        link.warn(
            warnings,
            "surprising-order",
            f"{here} comes after {there}, which therefore cuts by the scores before it",
            f"llama.cpp does it like this; Hugging Face and vLLM apply {link.name} first: "
            f"move it above {earlier.name} for their meaning",
        )
    elif earlier.family == "cut" and link.family in ("scale", "add", "history"):
        link.warn(
            warnings,
            "surprising-order",
            f"{here} comes after {there}: what was cut stays cut, whatever it does to the scores",
            f"Hugging Face and llama.cpp apply it before they cut: move it above {earlier.name}",
        )
    elif pair == ("temperature", "add"):
        link.warn(
            warnings,
            "surprising-order",
            f"{here} comes after {there}, so the temperature does not divide what it adds",
            f"Hugging Face and llama.cpp apply it before: move it above {earlier.name}",
        )
    elif pair == ("cut", "cut") and _both_turn_it_round(earlier, link):
        link.warn(
            warnings,
            "surprising-order",
            f"{here} comes after {there}, which therefore counts tokens that {link.spec.name} then cuts",
            f"Hugging Face and llama.cpp run {link.spec.name} first: move it above {earlier.name}",
        )
    else:
        return False
    return True


def _both_turn_it_round(earlier: Link, link: Link) -> bool:
    first, second = earlier.spec.name, link.spec.name
    return frozenset((first, second)) not in COMMUTE and all(
        first in order and second in order and order.index(first) > order.index(second)
        for order in (HUGGING_FACE, LLAMA_CPP)
    )
