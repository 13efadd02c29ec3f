"""Training of a generator against a critic (Goodfellow et al. 2014). What is written is the mean of the generator's weights over
its last steps. A run that was stopped goes on from its last checkpoint.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

# Pictures of a step; the part of the mean that a step replaces.
BATCH, AVERAGED = 16, 2e-3
# Steps from which on the rate is a half, and a quarter.
SLOWER = (12_000, 24_000)


def options(parser: argparse.ArgumentParser, written: str) -> None:
    parser.add_argument("--faces", required=True, nargs="+", type=Path, metavar="SET", help="sets made by 'facet prepare'")
    parser.add_argument("--run", required=True, type=Path, help="a folder for the checkpoint and a picture of where it stands")
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(f"--{written}", required=True, type=Path, help="the file that is written")


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class Hinge:
    """Hinge losses (Lim & Ye 2017) of a number for each picture; the critic's layers are divided by their largest singular value
    (Miyato et al. 2018)."""

    rates, betas, isNormalized = (3e-4, 6e-4), (0.0, 0.99), True

    @staticmethod
    def critic(real: Tensor, drawn: Tensor) -> Tensor:
        return F.relu(1 - real.float()).mean() + F.relu(1 + drawn.float()).mean()

    @staticmethod
    def generator(drawn: Tensor) -> Tensor:
        return -drawn.float().mean()


class Squares:
    """Squared errors (Mao et al. 2017) of maps, each with a weight for its places."""

    rates, betas, isNormalized = (2e-4, 2e-4), (0.5, 0.99), False

    @staticmethod
    def toward(maps: list[tuple[Tensor, Tensor]], target: float) -> Tensor:
        return sum(((x.float() - target).square() * weight).sum() / (weight.sum() + 1) for x, weight in maps) / len(maps)

    @staticmethod
    def critic(real: list, drawn: list) -> Tensor:
        return Squares.toward(real, 1) + Squares.toward(drawn, 0)

    @staticmethod
    def generator(drawn: list) -> Tensor:
        return Squares.toward(drawn, 1)


def shards(folder: Path):
    """The tensors of a set's files, with the paths of their photos."""
    for path in sorted(folder.glob("faces-*.safetensors")):
        with safe_open(str(path), "np") as file:
            if "crops" not in file.keys():
                continue
            omitted = json.loads(file.metadata()["omitted"])
            photos = [photo for photo in json.loads(file.metadata()["sources"]) if photo not in omitted]
            yield {name: file.get_tensor(name) for name in ("crops", "labels", "landmarks", "sides")}, photos


def train(
    generator: nn.Module, critic: nn.Module, losses: type, batch: Callable, draw: Callable, picture: Callable,
    told: argparse.Namespace, target: Path, form: str, kept: Callable | None = None,
) -> None:
    """Trains and writes a generator.

    batch(): real pictures and what the generator is told of them. draw(generator, told): its pictures. critic(pictures, told): what
    the losses take. picture(generator): one of where it stands, in 0…1. kept(drawn, real, told): a loss of its own.
    """
    torch.set_num_threads(told.threads)
    for layer in list(critic.modules()):
        if losses.isNormalized and isinstance(layer, (nn.Conv2d, nn.Linear)):
            spectral_norm(layer)
    mean = type(generator)()
    mean.load_state_dict(generator.state_dict())
    optimizers = [
        torch.optim.Adam(net.parameters(), rate, betas=losses.betas) for net, rate in zip((generator, critic), losses.rates)]
    parts = {"generator": generator, "critic": critic, "mean": mean, "adam_generator": optimizers[0], "adam_critic": optimizers[1]}
    told.run.mkdir(parents=True, exist_ok=True)
    checkpoint, step = told.run / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        step = state.pop("step")
        for name, value in state.items():
            parts[name].load_state_dict(value)
        print(f"goes on after step {step}")

    def save() -> None:
        new = checkpoint.with_suffix(".new")
        torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, new)
        os.replace(new, checkpoint)
        with torch.no_grad():
            shown = (picture(mean).permute(1, 2, 0).numpy()[..., ::-1] * 255).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(told.run / "picture.png"), shown)

    fast = torch.autocast("cpu", torch.bfloat16)
    start = saved = time.monotonic()
    while time.monotonic() - start < told.hours * 3600:
        for optimizer, rate in zip(optimizers, losses.rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 ** sum(step >= limit for limit in SLOWER)
        real, known = batch()
        other = batch()[1]
        with torch.no_grad(), fast:
            drawn = draw(generator, other).float()
        with fast:
            loss = losses.critic(critic(real, known), critic(drawn, other))
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        real, known = batch()
        with fast:
            drawn = draw(generator, known).float()
            worse = losses.generator(critic(drawn, known))
        if kept:
            worse = worse + kept(drawn, real, known)
        optimizers[0].zero_grad()
        worse.backward()
        optimizers[0].step()
        with torch.no_grad():
            for a, b in zip(mean.parameters(), generator.parameters()):
                a.lerp_(b, max(AVERAGED, 1 / (step + 1)))
        step += 1
        if step % 200 == 0:
            print(f"step {step}: critic {loss.item():.2f}, generator {worse.item():.2f}", flush=True)
        if time.monotonic() - saved > 300:
            save()
            saved = time.monotonic()
    save()
    weights = {name: (w.half() if w.dim() > 1 else w).contiguous() for name, w in mean.state_dict().items()}
    new = target.with_suffix(".new")
    save_file(weights, str(new), {"format": form})
    new.chmod(0o644)
    os.replace(new, target)
