"""Train the tokenizer and the model: `python train.py novels.txt.gz --out run`.

Everything random follows from `--seed`; a run that was stopped goes on from its last evaluation.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import encode, held_out_texts, read_works, train_tokenizer, training_texts
from evaluate import held_out_loss
from muon import Muon
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from decodery_demo.load import TOKENIZER, WEIGHTS, load_model, save_model
from decodery_demo.model import DemoConfig, DemoModel


def arguments() -> argparse.Namespace:
    with_defaults = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=with_defaults)
    parser.add_argument("text", type=Path)
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--tokenizer", type=Path, help="use this one instead of training one")
    parser.add_argument("--teachers", type=Path, nargs="*", default=[], help="weights to learn from as well")
    parser.add_argument("--teacher-share", type=float, default=0.5, help="the weight of the teachers' loss")
    for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_hidden"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(DemoConfig, name))
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16, help="windows of block_size tokens a step")
    parser.add_argument("--matrix-lr", type=float, default=4e-3, help="Muon, for the matrices")
    parser.add_argument("--other-lr", type=float, default=2e-3, help="AdamW, for the embedding and the gains")
    parser.add_argument("--weight-decay", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=0.02, help="of all steps")
    parser.add_argument("--ema", type=float, default=0.998, help="decay of the averaged weights, those saved")
    parser.add_argument("--evaluate-every", type=int, default=10, help="epochs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true")
    return parser.parse_args()


def steps_per_epoch(length: int, size: int, batch: int) -> int:
    """How many batches of windows fit, wherever the first cut falls."""
    return (length // size - 2) // batch


def windows(ids: Tensor, size: int, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of ids, LongTensor (N,): inputs and targets, LongTensors (batch, size), in a random order.

    The cuts fall elsewhere in every epoch, so no token keeps its distance from the left edge.
    """
    random = torch.Generator().manual_seed(seed)
    first = int(torch.randint(size, (1,), generator=random))
    starts = torch.arange(first, len(ids) - size, size)
    starts = starts[torch.randperm(len(starts), generator=random)]
    steps = steps_per_epoch(len(ids), size, batch)
    batches = starts[: steps * batch].view(steps, batch).to(ids.device)  # (W,) -> (steps, batch)
    reach = torch.arange(size, device=ids.device)
    for some in batches:
        at = some[:, None] + reach  # (batch,) -> (batch, size)
        yield ids[at], ids[at + 1]


class Loss(nn.Module):
    """Cross-entropy with the text, and with the mean of the teachers' predictions when there are teachers."""

    def __init__(self, model: DemoModel, teachers: list[DemoModel], teacher_share: float) -> None:
        super().__init__()
        self.model = model
        self.teachers = teachers  # a plain list: they are not trained, nor moved or saved with this module
        self.teacher_share = teacher_share

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y: LongTensor (B, T); returns a 0-d FloatTensor."""
        scores = self.model(x).float().flatten(0, 1)  # (B, T, V) -> (B*T, V)
        loss = F.cross_entropy(scores, y.flatten())  # (B, T) -> (B*T,)
        if not self.teachers:
            return loss
        with torch.no_grad():
            soft = torch.stack([teacher(x).float().softmax(-1) for teacher in self.teachers]).mean(0)
        taught = F.cross_entropy(scores, soft.flatten(0, 1))  # (B, T, V) -> (B*T, V)
        return (1 - self.teacher_share) * loss + self.teacher_share * taught


def optimizers(model: DemoModel, args: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices and AdamW for the rest; gains do not decay."""
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    groups = [
        {"params": [model.embed.weight], "weight_decay": args.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    fused = model.embed.weight.is_cuda
    return [
        Muon(matrices, lr=args.matrix_lr, weight_decay=args.weight_decay),
        torch.optim.AdamW(groups, lr=args.other_lr, betas=(0.9, 0.95), fused=fused),
    ]


def learning_rate(step: int, steps: int, warmup: float) -> float:
    """Part of the full rate: linear warm-up, then half a cosine down to nothing."""
    rise = max(1, int(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class Training:
    """A model on its way: everything that a checkpoint holds, and what an epoch needs."""

    def __init__(self, config: DemoConfig, ids: Tensor, args: argparse.Namespace) -> None:
        """ids: LongTensor (N,), on the device to train on."""
        self.args, self.ids = args, ids
        self.model = DemoModel(config).to(ids.device)
        averaging = get_ema_multi_avg_fn(args.ema)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.model, multi_avg_fn=averaging).eval()
        self.optimizers = optimizers(self.model, args)
        self.groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        self.full_rates = [group["lr"] for group in self.groups]
        teachers = [load_model(path).to(ids.device) for path in args.teachers]
        loss = Loss(self.model, teachers, args.teacher_share)
        self.loss = loss if args.no_compile else torch.compile(loss)
        self.per_epoch = steps_per_epoch(len(ids), config.block_size, args.batch)
        self.done = 0

    def epoch(self) -> float:
        """Train on everything once; returns the mean loss."""
        self.done += 1
        seed = self.args.seed * 100_003 + self.done
        torch.manual_seed(seed)  # so that dropout does not depend on whether the run was resumed
        self.model.train()
        total = torch.zeros((), device=self.ids.device)
        steps = windows(self.ids, self.model.config.block_size, self.args.batch, seed)
        for step, (x, y) in enumerate(steps, start=(self.done - 1) * self.per_epoch):
            part = learning_rate(step, self.args.epochs * self.per_epoch, self.args.warmup)
            for group, full in zip(self.groups, self.full_rates, strict=True):
                group["lr"] = full * part
            with torch.autocast(self.ids.device.type, dtype=torch.bfloat16):
                loss = self.loss(x, y)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            self.average.update_parameters(self.model)
            total += loss.detach()
        return total.item() / self.per_epoch

    @property
    def averaged(self) -> DemoModel:
        """The model to keep."""
        model = self.average.module
        if not isinstance(model, DemoModel):
            raise TypeError(f"the average holds a {type(model).__name__}")
        return model

    def save(self, path: Path) -> None:
        """Write all that `resume` needs."""
        state = {"done": self.done, "model": self.model.state_dict(), "average": self.average.state_dict()}
        torch.save(state | {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}, path)

    def resume(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        state = torch.load(path, map_location=self.ids.device, weights_only=True)
        self.done = state["done"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")

    works = read_works(args.text)
    texts = training_texts(works)
    given = args.tokenizer
    tokenizer = Tokenizer.from_file(str(given)) if given else train_tokenizer(texts, args.vocab_size)
    tokenizer.save(str(args.out / TOKENIZER))
    ids = encode(tokenizer, texts).to(device)
    held_out = [encode(tokenizer, [text]) for text in held_out_texts(works)]

    shape = ("block_size", "n_layer", "n_head", "n_embd", "n_hidden", "dropout")
    chosen = {name: getattr(args, name) for name in shape}
    config = DemoConfig(vocab_size=tokenizer.get_vocab_size(), **chosen)
    training = Training(config, ids, args)
    checkpoint = args.out / "checkpoint.pt"
    if checkpoint.exists():
        training.resume(checkpoint)
    parameters = sum(p.numel() for p in training.model.parameters())
    print(f"{parameters:,} parameters; {len(texts)} texts, {len(ids):,} tokens", flush=True)

    began = time.perf_counter()
    while training.done < args.epochs:
        trained = training.epoch()
        if training.done % args.evaluate_every and training.done != args.epochs:
            continue
        training.model.eval()
        with torch.autocast(device, dtype=torch.bfloat16):
            raw = held_out_loss(training.model, held_out)
            averaged = held_out_loss(training.averaged, held_out)
        losses = f"train {trained:.4f}, held out {raw:.4f}, averaged {averaged:.4f}"
        print(f"epoch {training.done}: {losses}, {time.perf_counter() - began:.0f} s", flush=True)
        training.save(checkpoint)
        save_model(training.averaged.state_dict(), config, args.out / WEIGHTS)


if __name__ == "__main__":
    main()
