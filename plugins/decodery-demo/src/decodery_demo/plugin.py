"""What this package gives decodery. Free of torch, so that listing the models stays quick."""

from decodery import hookimpl
from decodery.contracts.specs import ModelSpec


@hookimpl
def provide_models() -> list[ModelSpec]:
    """The model and its draft; weights are read when a model is first asked for."""
    return [
        ModelSpec(
            name="demo",
            factory="decodery_demo.load:load",
            summary="a 7-million-parameter decoder trained on 22 English novels, with its tokenizer",
            reference="",
        ),
        ModelSpec(
            name="demo-draft",
            factory="decodery_demo.load:load_draft",
            summary="a model of 0.9 million parameters that drafts for `demo`",
        ),
    ]
