"""What each command takes, as typer reads it. The work is imported when a command is called, so that `--help`
and a wrong command line cost only typer."""

from __future__ import annotations

from typing import Annotated

import typer

MODEL = "An installed model (demo), a transformers directory, or package.module:function."
ROLE = "A further model that the strategy asks for: draft=demo-draft. May be repeated."
_ROLE_PROMPT = "What a strategy's further run begins with: negative=TEXT. May be repeated."
_DECODER_PROMPT = "What an encoder-decoder's decoder goes on from; one for all, or one a prompt."
_COMPILE = "none; graph: a step as one CUDA graph; full: the forward compiled too, on a CPU as well."
_OVERFLOW = "What a row does that fills the context: stop, slide, or slide=K, which keeps K tokens."
_RECIPE = "A recipe: a YAML file, or the name of one in the box."
OVERRIDE = "Change the recipe: top_p=0.8, top_p.min_keep=5, strategy.seed=3. May be repeated."
_FILE = "A file whose text is a prompt, less one final newline; - reads stdin. May be repeated."
TOKENIZER = (
    "Instead of the model's own: a directory, a tokenizer.json, a .model file, or package.module:function."
)
_STREAM = "Show text as it comes, or whole."
NO_PLUGIN = "Leave this plugin out, before it is imported. May be repeated; stands before the command."
_NEW = "The package's name: small letters, digits and '-'."
_NAME = "A plugin, or a step, strategy, model, adapter or recipe."

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def generate(
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="Texts to go on with.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help=MODEL, show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", metavar="RECIPE", help=_RECIPE, show_default="greedy")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-o", metavar="STEP=VALUE", help=OVERRIDE, show_default=False),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            "-n",
            metavar="N",
            min=1,
            help="Samples of each prompt.",
            show_default="1",
        ),
    ] = None,
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
        str | None, typer.Option(metavar="TOKENIZER", help=TOKENIZER, show_default=False)
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE=MODEL", help=ROLE, show_default=False)
    ] = None,
    role_prompt: Annotated[
        list[str] | None,
        typer.Option("--role-prompt", metavar="ROLE=TEXT", help=_ROLE_PROMPT, show_default=False),
    ] = None,
    decoder_prompt: Annotated[
        list[str] | None,
        typer.Option("--decoder-prompt", metavar="TEXT", help=_DECODER_PROMPT, show_default=False),
    ] = None,
    overflow: Annotated[str | None, typer.Option(metavar="WHAT", help=_OVERFLOW, show_default="stop")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...", show_default=False)
    ] = None,
    compile_: Annotated[str, typer.Option("--compile", metavar="HOW", help=_COMPILE)] = "none",
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
    from . import generate as command  # noqa: PLC0415 (lazy: start-up)

    _end(
        command.generate(
            prompt=prompt or [],
            model=model,
            recipe=recipe,
            override=override or [],
            samples=samples,
            seed=seed,
            max_new_tokens=max_new_tokens,
            stream=stream,
            as_json=as_json,
            prompt_file=prompt_file or [],
            lines=lines,
            ids=ids,
            tokenizer=tokenizer,
            roles=role or [],
            role_prompts=role_prompt or [],
            decoder_prompts=decoder_prompt or [],
            overflow=overflow,
            device=device,
            compile_=compile_,
            adapter=adapter,
            quiet=quiet,
            verbose=verbose,
        )
    )


def doctor(
    *,
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=MODEL, show_default=False)],
    adapter: Annotated[
        str, typer.Option(metavar="NAME", help="Look at this adapter, instead of the first that fits.")
    ] = "auto",
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...", show_default=False)
    ] = None,
    vocab_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Instead of what the model says of itself.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Instead of what the model says of itself.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a model: how it would be driven and why, whether its cache is true, and how fast it is.

    A few calls on random token ids are made. Exit code 1 if nothing can drive it.
    """
    from . import doctor as command  # noqa: PLC0415 (lazy: start-up)

    _end(
        command.doctor(
            model=model,
            adapter=adapter,
            device=device,
            vocab_size=vocab_size,
            max_length=max_length,
            as_json=as_json,
        )
    )


def plugins_list(as_json: Json = False) -> None:
    """List what is installed, from metadata alone: no plugin is imported."""
    from .plugins.listing import list_plugins  # noqa: PLC0415 (lazy: the host)

    _end(list_plugins(as_json))


def plugins_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help=_NAME)], as_json: Json = False
) -> None:
    """Show what a plugin provides, or one step or strategy: parameters, bounds, defaults, reference."""
    from .plugins.show import show  # noqa: PLC0415 (lazy: the host)

    _end(show(name, as_json))


def plugins_doctor(
    trace: Annotated[bool, typer.Option("--trace", help="Show the tracebacks of broken plugins.")] = False,
    as_json: Json = False,
) -> None:
    """Import every plugin and say how it fares. Exit code 1 if one is broken."""
    from .plugins.doctor import doctor  # noqa: PLC0415 (lazy: the host)

    _end(doctor(trace, as_json))


def plugins_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help=_NEW)],
    into: Annotated[str, typer.Option(metavar="DIR", help="Where its folder is made.")] = ".",
) -> None:
    """Write a complete small plugin: a processor, a stop rule, a strategy, a recipe and their tests."""
    from pathlib import Path  # noqa: PLC0415 (lazy: start-up)

    from .plugins.new import new  # noqa: PLC0415 (lazy: start-up)

    _end(new(name, Path(into)))


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
