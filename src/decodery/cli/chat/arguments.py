"""What `decodery chat` takes, as typer reads it; the work is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import arguments as common

_SYSTEM = "A text that stands before the conversation."
_TEMPLATE = "auto (the model's own, else a transcript), transcript, none, or a Jinja file."
_SEED = "Repeats a chat; the one used is reported."
_RECIPE = "A recipe: a YAML file, or the name of one in the box."


def chat(
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help=common.MODEL, show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", metavar="RECIPE", help=_RECIPE, show_default="chat")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-o", metavar="STEP=VALUE", help=common.OVERRIDE, show_default=False),
    ] = None,
    system: Annotated[
        str, typer.Option("--system", "-s", metavar="TEXT", help=_SYSTEM, show_default=False)
    ] = "",
    template: Annotated[str, typer.Option(metavar="TEMPLATE", help=_TEMPLATE)] = "auto",
    seed: Annotated[int | None, typer.Option(metavar="N", help=_SEED)] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of an answer, instead of the recipe's own limit.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="TOKENIZER", help=common.TOKENIZER, show_default=False)
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE=MODEL", help=common.ROLE, show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...", show_default=False)
    ] = None,
    adapter: Annotated[
        str, typer.Option(metavar="NAME", help="How the model is driven: the name of an adapter.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No talk on stderr, only errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Report speed after each answer.")] = False,
) -> None:
    """Chat with a model by a recipe; from a pipe each line is a message.

    Lines that begin with a slash are commands: /set top_p 0.8, /recipe, /save, /clear, /help, /exit.
    """
    from . import command  # noqa: PLC0415 (lazy: start-up)

    code = command.chat(
        model=model,
        recipe=recipe,
        override=override or [],
        system=system,
        template=template,
        seed=seed,
        max_new_tokens=max_new_tokens,
        tokenizer=tokenizer,
        roles=role or [],
        device=device,
        adapter=adapter,
        quiet=quiet,
        verbose=verbose,
    )
    if code:
        raise typer.Exit(code)
