"""What this package gives decodery. Free of torch, so that listing the models stays quick."""

from decodery import hookimpl
from decodery.contracts.specs import ModelSpec


@hookimpl
def provide_models() -> list[ModelSpec]:
    """One model, `demo`; the weights are read when it is first asked for."""
    return [
        ModelSpec(
            name="demo",
            factory="decodery_demo.load:load",
            summary="a 7-million-parameter decoder trained on 22 English novels, with its tokenizer",
            reference="",
        )
    ]
