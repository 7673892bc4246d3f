"""Pictures of what a step does to a row: `python docs/_ext/step_pictures.py top_p > top_p.svg`.

The page "Pictures" holds one of every processor, drawn as the page is built.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from math import inf, isfinite, log10
from typing import Any

from step_acts import EXAMPLES, Acted, acted
from step_examples import Example

SHOWN, GAINERS = 30, 4
LABEL, BARS, ROW, HEAD = 110, 440, 14, 22
LEAST = 1e-4
"""Where the axis of probabilities begins; it is logarithmic, so that the tail is seen."""
STYLE = """
.step text { font: 11px sans-serif; fill: currentColor }
.step .tick { font-size: 9px; opacity: .7 }
.step .grid { stroke: currentColor; opacity: .15 }
.step .before { fill: currentColor; opacity: .3 }
.step .after { fill: #2a7fd4 }
.step rect.banned { fill: none; stroke: #d4472a; stroke-dasharray: 2 2 }
.step text.banned { fill: #d4472a; text-decoration: line-through }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One token: probabilities (or scores) before and after. `banned` by the step: what it had before is gone."""

    token: int
    text: str
    before: float
    after: float
    banned: bool


def bars(row: Acted, scores: bool) -> list[Bar]:
    """The best tokens of the row, at most `SHOWN`, the best first; among them those that the step lifted to the top,
    and those that it touched where they are few."""
    known = row.before.nan_to_num(nan=inf)  # a NaN is shown where it stood: among the best
    before, after = (x if scores else x.softmax(-1) for x in (row.before, row.after))
    lifted = [
        token for token in row.after.topk(GAINERS).indices.tolist() if row.after[token] > row.after.min()
    ]
    touched = (row.after != row.before).nonzero().flatten().tolist()
    if len(touched) <= GAINERS:
        lifted = list(dict.fromkeys([*lifted, *touched]))
    best = [token for token in known.topk(SHOWN).indices.tolist() if token not in lifted]
    shown = sorted(lifted + best[: SHOWN - len(lifted)], key=lambda token: -float(known[token]))
    banned = row.after.isneginf() & ~row.before.isneginf()
    return [
        Bar(token, row.text(token), float(before[token]), float(after[token]), bool(banned[token]))
        for token in shown
    ]


def svg(found: list[Bar], note: str, scores: bool = False) -> str:
    """The picture: a pale bar of before and a blue one of after for each token, `note` below them."""
    place, ticks = _scores_axis(found) if scores else _probability_axis()
    bottom = HEAD + ROW * len(found)
    lines = [
        f'<svg class="step" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABEL + BARS + 50} {bottom + 24}" '
        f'width="{LABEL + BARS + 50}" role="img"><title>{escape(note)}</title><style>{STYLE}</style>'
    ]
    for value, label in ticks:
        x = LABEL + place(value)
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD - 4}" y2="{bottom}"/>')
        lines.append(f'<text class="tick" x="{x:.1f}" y="{HEAD - 8}" text-anchor="middle">{label}</text>')
    for number, bar in enumerate(found):
        lines += _row(bar, HEAD + ROW * number, place)
    lines += [f'<text x="{LABEL}" y="{bottom + 17}">{escape(note)}</text>', "</svg>"]
    return "\n".join(lines)


def picture(name: str, example: Example) -> str:
    """The SVG of a processor's example."""
    row = acted(name, example)
    banned = int((row.after.isneginf() & ~row.before.isneginf()).sum())
    total = len(row.after)
    if banned:
        note = f"{total - banned:,} of {total:,} tokens stay"
    else:
        # NaN is unequal to itself, so a NaN that was mended counts.
        note = f"{int((row.before != row.after).sum()):,} of {total:,} scores change, no token is banned"
    return svg(bars(row, example.scores), note, example.scores)


def page(plugin: str = "") -> Iterator[str]:
    """The lines of a part of the page: for each processor in the box, or in a plugin, a heading, its parameters, the
    text, a sentence and the picture."""
    for name, example in EXAMPLES.items():
        if name.rpartition("/")[0] != plugin:
            continue
        values = ", ".join(f"{key}={_shown(value)}" for key, value in example.params.items())
        yield from (f"(picture-{name})=", f"### {{ref}}`{name} <step-{name}>`", "")
        where = f"`{values}`, after" if values else "After"
        yield from (f"{where} “{_spelt(example)}”. {example.see}", "")
        yield from ("```{raw} html", picture(name, example), "```", "")


def _spelt(example: Example) -> str:
    text = f"{example.prompt}{example.new}".strip().replace("\n", " ⏎ ")
    return f"{text}”, the encoder given “{example.encoder.strip()}" if example.encoder else text


def _shown(value: Any) -> str:
    return value.__name__.strip("_") if callable(value) else repr(value)


def _row(bar: Bar, y: int, place: Callable[[float], float]) -> Iterator[str]:
    kind = ' class="banned"' if bar.banned else ""
    text = bar.text.replace("\n", "⏎").strip(" ") or repr(bar.text)
    yield f'<text{kind} data-token="{bar.token}" x="{LABEL - 8}" y="{y + 10}" text-anchor="end">{escape(text)}</text>'
    if isfinite(bar.before):
        shape = "banned" if bar.banned else "before"
        yield f'<rect class="{shape}" x="{LABEL}" y="{y + 2}" width="{place(bar.before):.2f}" height="4"/>'
    if isfinite(bar.after) and not bar.banned:
        yield f'<rect class="after" x="{LABEL}" y="{y + 7}" width="{place(bar.after):.2f}" height="5"/>'


def _probability_axis() -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    def place(p: float) -> float:
        return BARS * max(0.0, 1 - log10(max(p, LEAST)) / log10(LEAST))

    return place, [(10.0**power, f"{10.0 ** (power + 2):g}%") for power in range(-4, 1)]


def _scores_axis(found: list[Bar]) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    values = [value for bar in found for value in (bar.before, bar.after) if isfinite(value)]
    low, high = min(values) - 1, max(values) + 1
    ticks = [low + (high - low) * part / 4 for part in range(5)]
    return lambda score: BARS * (score - low) / (high - low), [(tick, f"{tick:.1f}") for tick in ticks]


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        sys.stdout.write(picture(wanted, EXAMPLES[wanted]))
