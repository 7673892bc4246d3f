state_bytes: int

class Chain:
    def __init__(self, words: list[tuple[int, float, int]], margins: list[float], isa: str) -> None: ...
    @property
    def isa(self) -> str: ...
    def pick_row(
        self,
        data: int,
        bf16: bool,
        rows: int,
        vocab: int,
        stride: int,
        threads: int,
        uniform: int,
        tokens: int,
        flags: int,
        /,
    ) -> None: ...
    def pick_torch(
        self,
        data: int,
        bf16: bool,
        rows: int,
        vocab: int,
        stride: int,
        threads: int,
        state: int,
        tokens: int,
        flags: int,
        /,
    ) -> None: ...

def pick_best(
    data: int, bf16: bool, rows: int, vocab: int, stride: int, threads: int, tokens: int, flags: int, /
) -> None: ...
def edit(
    scores: int,
    rows: int,
    vocab: int,
    ids: int,
    id_rows: int,
    count: int,
    values: int,
    value_rows: int,
    value_columns: int,
    mode: int,
    /,
) -> None: ...
def uniforms(state: int, places: int, count: int, draws: int, out: int, /) -> None: ...
def isa() -> str: ...
