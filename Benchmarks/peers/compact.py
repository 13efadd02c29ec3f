"""Facet's compact model in plain PyTorch; parameter names and layouts are Facet's.

The peer in the benchmarks, and how a bundle's `model.safetensors` reads in Python.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

SHUFFLE = 2  # pixels in a row that the output unfolds from channels


@dataclass(frozen=True)
class Configuration:
    """The fields of a bundle's `config.json`, which has them in camel case."""

    image_size: int = 128
    latent_size: int = 512
    stem: int = 2
    encoder_channels: tuple[int, ...] = (32, 64, 128, 256, 192)
    decoder_channels: tuple[int, ...] = (192, 256, 192, 96, 48)
    encoder_residuals: tuple[int, ...] = (0, 0, 1, 1, 0)
    decoder_residuals: tuple[int, ...] = (0, 1, 0, 0, 0)

    @classmethod
    def read(cls, path: Path) -> "Configuration":
        content = json.loads(path.read_text())
        words = {f.name: f.name.split("_") for f in fields(cls)}
        return cls(**{k: content[w[0] + "".join(map(str.capitalize, w[1:]))] for k, w in words.items()})

    @property
    def inner_size(self) -> int:
        return self.image_size // self.stem >> (len(self.encoder_channels) - 1)


def activation(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.1)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, momentum=0.03)


class ConvBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = batch_norm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return activation(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = batch_norm(channels)
        nn.init.constant_(self.norm.weight, 0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return activation(x + self.norm(self.conv(self.first(x))))


def residuals(channels: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(ResidualBlock(channels) for _ in range(count))


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, count: int):
        super().__init__()
        self.conv = ConvBlock(inputs, outputs, stride)
        self.blocks = residuals(outputs, count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        for block in self.blocks:
            x = block(x)
        return x


class Encoder(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        self.stem = c.stem
        inputs = (3 * c.stem**2, *c.encoder_channels)
        strides = (1, *[2] * (len(c.encoder_channels) - 1))
        self.stages = nn.ModuleList(map(Stage, inputs, c.encoder_channels, strides, c.encoder_residuals))
        features = c.encoder_channels[-1] * c.inner_size**2
        self.mean = nn.Linear(features, c.latent_size)
        self.logDeviation = nn.Linear(features, c.latent_size)
        with torch.no_grad():  # little noise at the start
            self.logDeviation.weight *= 0.1
            self.logDeviation.bias.fill_(-2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.pixel_unshuffle(x, self.stem).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
        x = x.flatten(1)
        return self.mean(x), self.logDeviation(x).clamp(-8, 4)


class Decoder(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        widths = c.decoder_channels
        self.shape = (widths[0], c.inner_size, c.inner_size)
        self.input = nn.Linear(c.latent_size, widths[0] * c.inner_size**2)
        self.norm = batch_norm(widths[0])
        self.blocks = residuals(widths[0], c.decoder_residuals[0])
        stages = zip(widths, widths[1:], c.decoder_residuals[1:])
        self.stages = nn.ModuleList(Stage(i, o, 1, count) for i, o, count in stages)
        self.output = nn.Conv2d(widths[-1], 4 * SHUFFLE**2, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Logits of the picture and, last, of the mask."""
        x = self.input(z).view(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        x = activation(self.norm(x))
        for block in self.blocks:
            x = block(x)
        for stage in self.stages:
            x = stage(F.interpolate(x, scale_factor=2, mode="nearest"))
        return F.pixel_shuffle(self.output(x), SHUFFLE).float()


class FaceVAE(nn.Module):
    def __init__(self, configuration: Configuration = Configuration()):
        super().__init__()
        self.configuration = configuration
        self.encoder = Encoder(configuration)
        self.decoder = Decoder(configuration)

    @classmethod
    def load(cls, bundle: Path) -> "FaceVAE":
        """The model of a bundle, for use."""
        from safetensors.torch import load_file

        model = cls(Configuration.read(bundle / "config.json"))
        buffers = {"runningMean": "running_mean", "runningVar": "running_var"}
        weights = {}
        stored = load_file(bundle / "model.safetensors")
        scales = {name: stored.pop(f"{name}.scale") for name in list(stored) if stored[name].dtype == torch.int8}
        for name, value in stored.items():
            prefix, _, last = name.rpartition(".")
            value = value * scales.get(name, 1)
            weights[f"{prefix}.{buffers.get(last, last)}"] = value.float()
        missing, unexpected = model.load_state_dict(weights, strict=False)
        missing = [k for k in missing if not k.endswith("num_batches_tracked")]
        if missing or unexpected:
            raise ValueError(f"{bundle}: weights missing {missing}, unexpected {unexpected}")
        return model.eval().to(memory_format=torch.channels_last)

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-deviation of the code, each N x latent size."""
        mean, log_deviation = self.encoder(image)
        return mean.float(), log_deviation.float()

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture in [0, 1] and the mask's logits."""
        picture, mask = self.decoder(z).split([3, 1], dim=1)
        return torch.sigmoid(picture), mask

    def forward(self, image: torch.Tensor, noise: torch.Tensor):
        """Picture, mask logits, mean and log-deviation; `noise` is N x latent size, standard normal."""
        mean, log_deviation = self.encode(image)
        return *self.decode(mean + noise * torch.exp(log_deviation)), mean, log_deviation
