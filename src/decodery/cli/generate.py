"""`decodery generate`: a model, a recipe and prompts give text."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ..contracts.errors import InvalidInput
from .console import Console, is_terminal, plugins_muted
from .prompts import gather, token_ids
from .usage import UsageMistake

if TYPE_CHECKING:
    from ..host.registry import Host

_MODEL = "An installed model (demo), a transformers directory, or package.module:function."
_RECIPE = "A recipe: a YAML file, or the name of one in the box."
_OVERRIDE = "Change the recipe: top_p=0.8, top_p.min_keep=5, strategy.seed=3. May be repeated."
_FILE = "A file whose text is a prompt, less one final newline; - reads stdin. May be repeated."
_TOKENIZER = "Instead of the model's own: a directory, a tokenizer.json, or package.module:function."
_STREAM = "Show text as it comes, or whole."


def generate(
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="Texts to go on with.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help=_MODEL, show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", metavar="RECIPE", help=_RECIPE, show_default="greedy")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-o", metavar="STEP=VALUE", help=_OVERRIDE, show_default=False),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", metavar="N", min=1, help="Samples of each prompt.")
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Repeats a run; the one used is reported."),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Instead of the recipe's own limit.")
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help=_STREAM, show_default="streams one row to a terminal"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each row.")
    ] = False,
    prompt_file: Annotated[
        list[str] | None, typer.Option("--prompt-file", "-p", metavar="FILE", help=_FILE, show_default=False)
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of -p is a prompt; blank ones are not.")
    ] = False,
    ids: Annotated[bool, typer.Option("--ids", help='Prompts are token ids: "1 2 3".')] = False,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="TOKENIZER", help=_TOKENIZER, show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...", show_default=False)
    ] = None,
    adapter: Annotated[
        str, typer.Option(metavar="NAME", help="How the model is driven: the name of an adapter.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No talk on stderr, only errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Report speed even when not on a terminal.")
    ] = False,
) -> None:
    """Generate text from a model by a recipe.

    Only results go to stdout. Several rows (prompts x samples) each come under a header of their own.
    """
    _check(prompt, prompt_file, seed=seed, lines=lines, as_json=as_json, stream=stream)
    console = Console(quiet=quiet, verbose=verbose)
    # lazy: `--help` and a wrong command line are answered before anything is looked up
    from ..host.registry import Host  # noqa: PLC0415
    from ..recipe.recipe import Recipe  # noqa: PLC0415
    from .models import check_device, load_model, load_tokenizer  # noqa: PLC0415
    from .play import Job, play  # noqa: PLC0415

    # What a model prints while it loads or runs is talk, too: stdout is for results.
    with plugins_muted(quiet), contextlib.redirect_stdout(sys.stderr):
        host = Host()
        name = _refuse_no_model(host) if model is None else model
        # The recipe before the model: its mistakes are told in a moment, the model takes its time.
        checked = Recipe.load(recipe or "greedy", overrides=override or [], host=host)
        prompts = _prompts(console, prompt or [], prompt_file or [], lines=lines, ids=ids)
        with console.waiting(f"loading {name}"):
            loaded, own = load_model(name, host)
            tok = own if tokenizer is None else load_tokenizer(tokenizer)
            if tok is None and not ids:
                raise _needs_tokenizer(name)
            # lazy: torch
            from ..engine.decoder import Decoder  # noqa: PLC0415

            check_device(device)
            decoder = Decoder(loaded, checked, tokenizer=tok, adapter=adapter, device=device, host=host)
        has_text = tok is not None
        play(
            console,
            decoder,
            Job(prompts, samples, seed, max_new_tokens, stream, as_json, name, checked, has_text),
        )


def _check(
    prompt: list[str] | None,
    files: list[str] | None,
    *,
    seed: int | None,
    lines: bool,
    as_json: bool,
    stream: bool | None,
) -> None:
    """What typer cannot see: options that contradict one another or are missing together."""
    if seed is not None and not 0 <= seed < 2**64:
        raise UsageMistake(f"--seed {seed} is no seed", remedy="give a whole number from 0 to 2**64 - 1")
    if as_json and stream:
        raise UsageMistake("--json prints whole rows, each when it is done", remedy="leave --stream out")
    if lines and not files:
        raise UsageMistake("--lines needs a file", remedy="add -p FILE, or -p - for stdin")
    if not prompt and not files:
        raise UsageMistake("there is no prompt", remedy="give a text, or -p FILE (-p - reads stdin)")


def _refuse_no_model(host: Host) -> NoReturn:
    from .models import names_of_models  # noqa: PLC0415 (lazy: imports the plugins)

    installed = [f"-m {name}" for name in names_of_models(host)]
    other = "-m also takes a transformers directory or package.module:function"
    if installed:
        raise UsageMistake("there is no model", remedy=f"installed: {', '.join(installed)}; {other}")
    raise UsageMistake("there is no model", remedy=f"pip install decodery-demo gives -m demo; {other}")


def _needs_tokenizer(name: str) -> InvalidInput:
    return InvalidInput(
        f"model {name!r} comes without a tokenizer, so prompts cannot be text",
        remedy='--tokenizer names one; or give token ids: --ids "1 2 3"',
    )


def _prompts(
    console: Console, arguments: list[str], files: list[str], *, lines: bool, ids: bool
) -> list[str] | list[list[int]]:
    if "-" in files and is_terminal(sys.stdin):
        console.say("reading the prompt from the terminal; Ctrl-D ends it")
    texts = gather(arguments, files, lines=lines)
    if not texts:
        raise InvalidInput(
            "there is no prompt in what was read: every line is blank",
            remedy="give at least one line with text",
        )
    return [token_ids(text) for text in texts] if ids else texts
