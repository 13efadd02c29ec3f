"""Times training steps of a preset in PyTorch, the way one would write them: eager, channels-last, fused Adam.

    python step.py --preset article --batch 32 --threads 2 --steps 5

prints one JSON line a step. With --serve it prints a line when ready, then for each line on standard
input, a number of steps K, runs K steps and prints their seconds, so that another program can take
turns with it on the same machine.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

import article
import compact
from objective import Weights, compose, objective


def clip_each(parameters: list[torch.Tensor], limit: float) -> None:
    """Keras' `clipnorm`: every variable's gradient to a norm of `limit` at most."""
    for p in parameters:
        p.grad.mul_(limit / p.grad.norm().clamp(min=limit))


def clip_all(parameters: list[torch.Tensor], limit: float) -> None:
    torch.nn.utils.clip_grad_norm_(parameters, limit)


@dataclass(frozen=True)
class Recipe:
    """What a preset trains: Facet's own recipe, less its moving average of the weights."""

    model: Callable[[], nn.Module]
    size: int
    latent: int
    rate: float
    clip: Callable[[list[torch.Tensor], float], None]
    clip_norm: float
    weights: Weights = Weights()
    ssim_stride: int = 1


RECIPES = {
    "article": Recipe(article.FaceVAE, article.SIZE, article.LATENT, 1e-4, clip_each, 1e-3),
    "compact": Recipe(compact.FaceVAE, 128, 512, 1e-3, clip_all, 1.0, ssim_stride=2),
}


class Trainer:
    """A preset, its optimiser and one batch of made-up pictures."""

    def __init__(self, recipe: Recipe, batch: int, bfloat16: bool, compiled: bool):
        torch.manual_seed(1)
        self.recipe = recipe
        model = recipe.model().to(memory_format=torch.channels_last).train()
        self.parameters = list(model.parameters())
        self.model = model
        # The losses too, so that nothing of the forward and backward passes is left to eager mode.
        self.losses = torch.compile(self.forward) if compiled else self.forward
        self.optimizer = torch.optim.Adam(self.parameters, lr=recipe.rate, fused=True)
        self.bfloat16 = bfloat16
        size = recipe.size
        self.images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        self.masks = (torch.rand(batch, 1, size, size) < 0.4).float()

    def forward(self, images: torch.Tensor, masks: torch.Tensor, noise: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            picture, mask_logits, mean, log_deviation = self.model(images, noise)
        picture, mask_logits = picture.float(), mask_logits.float()
        mean, log_deviation = mean.float(), log_deviation.float()
        composed = compose(picture, masks, images)
        return objective(
            images, masks, composed, mask_logits, mean, log_deviation, self.recipe.weights, self.recipe.ssim_stride
        )

    def step(self) -> dict[str, torch.Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        noise = torch.randn(len(self.images), self.recipe.latent)
        terms = self.losses(self.images, self.masks, noise)
        terms["total"].backward()
        self.recipe.clip(self.parameters, self.recipe.clip_norm)
        self.optimizer.step()
        return terms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=RECIPES, default="compact")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=5, help="steps to time (without --serve)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before the first is timed")
    parser.add_argument("--bf16", action="store_true", help="convolutions in bfloat16")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model and the losses")
    parser.add_argument("--ssim-stride", type=int, help="of SSIM's map; the preset's own where left out")
    parser.add_argument("--serve", action="store_true", help="run K steps for each K on standard input")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = RECIPES[options.preset]
    if options.ssim_stride:
        recipe = replace(recipe, ssim_stride=options.ssim_stride)
    trainer = Trainer(recipe, options.batch, options.bf16, options.compile)

    def report(**values) -> None:
        print(json.dumps(values), flush=True)

    def run(steps: int) -> dict[str, float]:
        start = time.perf_counter()
        for _ in range(steps):
            loss = trainer.step()["total"].item()
        seconds = time.perf_counter() - start
        images_per_second = steps * options.batch / seconds
        return {"seconds": seconds, "images_per_second": images_per_second, "loss": loss}

    if options.warmup:
        run(options.warmup)
    if options.serve:
        report(ready=True, torch=torch.__version__, preset=options.preset)
        for line in sys.stdin:
            if line.strip():
                report(steps=int(line), **run(int(line)))
    else:
        for step in range(options.steps):
            report(step=step, **run(1))


if __name__ == "__main__":
    main()
