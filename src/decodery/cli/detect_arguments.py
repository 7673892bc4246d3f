"""What `decodery detect` takes, as typer reads it; the work is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from . import arguments as common

_TEXT_FILE = "A file whose text is looked at, less one final newline; - reads stdin. May be repeated."


def detect(
    *,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="A text, a file that holds one, or - for stdin.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help=common.MODEL, show_default=False)
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", "-r", metavar="RECIPE", help="The recipe whose watermark it is.", show_default=False
        ),
    ],
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-o", metavar="STEP=VALUE", help=common.OVERRIDE, show_default=False),
    ] = None,
    text_file: Annotated[
        list[str] | None,
        typer.Option("--text-file", "-p", metavar="FILE", help=_TEXT_FILE, show_default=False),
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of a file is a text.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help='Texts are token ids: "1 2 3".')] = False,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What stood in front of the texts when they were made."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="P", help="The fraction of unmarked texts that may be called marked.")
    ] = 1e-3,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="TOKENIZER", help=common.TOKENIZER, show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Where the texts were made.", show_default="cpu")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each text.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No talk on stderr, only errors.")] = False,
) -> None:
    """Say whether texts carry the watermark that a recipe writes.

    The model tells how large the vocabulary is, and brings the tokenizer. Exit code 3 if a text is not marked.
    """
    from . import detect as command  # noqa: PLC0415 (lazy: start-up)

    code = command.detect(
        text=text or [],
        model=model,
        recipe=recipe,
        override=override or [],
        text_file=text_file or [],
        lines=lines,
        ids=ids,
        prompt=prompt,
        threshold=threshold,
        tokenizer=tokenizer,
        device=device,
        as_json=as_json,
        quiet=quiet,
    )
    if code:
        raise typer.Exit(code)
