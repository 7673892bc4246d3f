"""`decodery detect`: whether texts carry the watermark that a recipe writes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts.errors import InvalidInput, PluginError
from ..contracts.params import param_values
from ..contracts.specs import StepSpec, StrategySpec, resolve
from ..host.registry import Host
from .console import Console
from .muting import plugins_muted
from .opening import Named, open_decoder, refuse_no_model
from .prompts import gather, is_there, token_ids
from .usage import UsageMistake

if TYPE_CHECKING:
    from ..contracts.steps import Step, StrategyUse
    from ..contracts.watermarks import Evidence
    from ..recipe.recipe import Recipe

_LIKE_A_FILE = re.compile(r"\S+\.(txt|md|json|jsonl|text)\Z")

UNMARKED = 3
"""The exit code where a text is not marked: neither 1, a failure, nor 2, a wrong command line."""


def detect(
    *,
    text: list[str],
    model: str | None,
    recipe: str,
    override: list[str],
    text_file: list[str],
    lines: bool,
    ids: bool,
    prompt: str | None,
    threshold: float,
    tokenizer: str | None,
    device: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """The command with its options (`detect_arguments.py` says what each means) -> 0 where every text is marked, 3
    where one is not."""
    if not 0 < threshold < 1:
        raise UsageMistake(f"--threshold {threshold} is no probability", remedy="give one between 0 and 1")
    if not text and not text_file:
        raise UsageMistake("there is no text", remedy="give one, a file that holds it, or - for stdin")
    console = Console(quiet=quiet)
    # lazy: a wrong command line is told before pydantic and torch are imported
    from ..recipe.recipe import Recipe  # noqa: PLC0415

    with plugins_muted(quiet), contextlib.redirect_stdout(sys.stderr):
        host = Host()
        name = refuse_no_model(host) if model is None else model
        checked = Recipe.load(recipe, overrides=override, host=host)
        uses = _marking(host, checked, recipe)
        for argument in text:
            if _LIKE_A_FILE.match(argument) and not is_there(Path.is_file, argument):
                console.say(f"there is no file {argument!r}: it is taken for a text")
            elif argument.strip() and os.sep not in argument and is_there(Path.is_dir, argument):
                console.say(f"{argument!r} is taken for a text, and not for the folder of that name")
        names, texts = _texts(text, text_file, lines)
        from .models import check_device  # noqa: PLC0415 (lazy: start-up)

        check_device(device)  # where green lists are drawn; the model need not be there
        decoder = open_decoder(
            console,
            host,
            Named(name, tokenizer),
            checked,
            without_tokenizer=None if ids else _needs_tokenizer,
        )
        encode: Any = token_ids if ids else lambda each: decoder.tokenizer.encode(each, special=False)  # type: ignore[union-attr]
        rows = [encode(each) for each in texts]
        prompts = None if prompt is None else [encode(prompt)] * len(rows)
        found = [_found(use, rows, prompts, decoder.model.facts.vocab_size, device) for use in uses]
    facts = {
        "model": name,
        "recipe": checked.name,
        "fingerprint": checked.fingerprint,
        "threshold": threshold,
    }
    for at, label in enumerate(names):
        if len(names) > 1 and not as_json:
            console.line(f"[{label}]", "bold")
        for use, evidences in zip(uses, found, strict=True):
            evidence = evidences[at]
            if as_json:
                data = {"text": label, **_data(use, evidence, threshold), **facts, "tokens": len(rows[at])}
                console.line(json.dumps(data))
            else:
                console.line(_line(use, evidence, threshold))
    marked = all(any(each[at].is_marked(threshold) for each in found) for at in range(len(names)))
    return 0 if marked else UNMARKED


def _marking(host: Host, recipe: Recipe, name: str) -> list[Step | StrategyUse]:
    """The steps of the recipe that leave a watermark, and its strategy if that does."""
    uses: list[Step | StrategyUse] = [*recipe.processors, recipe.strategy]
    marking = [use for use in uses if use.spec.detector is not None]
    if not marking:
        specs: list[tuple[str, StepSpec | StrategySpec]] = [*host.all(StepSpec), *host.all(StrategySpec)]
        known = [qualified for qualified, spec in specs if spec.detector is not None]
        raise InvalidInput(
            f"the recipe {name!r} leaves no watermark that can be looked for",
            remedy=f"name one with {', '.join(known[:-1])} or {known[-1]}",
        )
    return marking


def _found(
    use: Step | StrategyUse,
    rows: list[list[int]],
    prompts: list[list[int]] | None,
    vocab_size: int | None,
    device: str | None,
) -> Sequence[Evidence]:
    detector = resolve(use.spec.detector or "", f"detector of {use.qualified!r}")
    found: Sequence[Evidence] = detector(
        rows, vocab_size=vocab_size, prompts=prompts, device=device or "cpu", **param_values(use.params)
    )
    if len(found) != len(rows):
        raise PluginError(
            f"the detector of {use.qualified!r} gave {len(found)} answers for {len(rows)} texts",
            remedy="return an Evidence a text",
        )
    return found


def _texts(arguments: Sequence[str], files: Sequence[str], lines: bool) -> tuple[list[str], list[str]]:
    """(what messages call each text, the texts): an argument that names a file is that file, "-" is stdin."""
    names, texts = [], []
    for at, argument in enumerate(arguments):
        is_file = argument == "-" or is_there(Path.is_file, argument)
        if is_there(Path.is_dir, argument) and os.sep in argument:
            raise InvalidInput(f"{argument!r} is a folder", remedy="name a file in it")
        found = gather((), [argument], lines=lines) if is_file else gather([argument], ())
        place = "stdin" if argument == "-" else argument if is_file else f"text {at}"
        names += _numbered(place, len(found), lines and is_file)
        texts += found
    for file in files:
        found = gather((), [file], lines=lines)
        names += _numbered("stdin" if file == "-" else file, len(found), lines)
        texts += found
    if not texts:
        raise InvalidInput("there is no text in what was read: every line is blank")
    return names, texts


def _numbered(place: str, count: int, lines: bool) -> list[str]:
    return [f"{place}, line {line}" for line in range(count)] if lines else [place] * count


def _data(use: Step | StrategyUse, evidence: Evidence, threshold: float) -> dict[str, Any]:
    is_count = use.qualified == "watermark"
    return {
        "step": use.qualified,
        "scored": evidence.scored,
        **({"green": round(evidence.score * evidence.scored)} if is_count else {}),
        "score": evidence.score,
        "expected": evidence.expected,
        "z": evidence.z,
        "p": evidence.p,
        "watermarked": evidence.is_marked(threshold),
    }


def _line(use: Step | StrategyUse, evidence: Evidence, threshold: float) -> str:
    if evidence.scored == 0:
        return f"{use.qualified}: the text is too short to say"
    told = (
        evidence.told or f"{evidence.scored} tokens: {evidence.score:.3f}, {evidence.expected:.3f} expected"
    )
    verdict = "watermarked" if evidence.is_marked(threshold) else "no watermark found"
    sign = "<" if evidence.is_marked(threshold) else ">="
    return f"{use.qualified}: {told}; z {evidence.z:.2f}, p {evidence.p:.2g} {sign} {threshold:g}: {verdict}"


def _needs_tokenizer(name: str) -> InvalidInput:
    return InvalidInput(
        f"model {name!r} comes without a tokenizer, so texts cannot be made tokens",
        remedy='--tokenizer names one; or give token ids: --ids "1 2 3"',
    )
