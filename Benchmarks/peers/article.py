"""The article's variational autoencoder in plain PyTorch: 16 615 076 trainable parameters.

"Editing Face Attributes using VAE" (R. S. Toledo, 2021). Parameter names and layouts are Facet's.
The reference for the golden fixtures, and the peer in the benchmarks.
"""

import torch
import torch.nn.functional as F
from torch import nn

SIZE = 144
LATENT = 2048

# Channels of each encoder stage's blocks; a max-pool ends each stage.
ENCODER = [(32, 32), (64, 64), (128, 128), (256, 256), (512,), (512,)]
# Channels of each decoder stage's blocks, and whether its upsampling pads "same" (else "valid").
DECODER = [
    ((512,), True),  # 2 -> 4
    ((512,), False),  # 4 -> 9
    ((256, 256), True),  # 9 -> 18
    ((128, 128), True),
    ((64, 64), True),
    ((32, 32), True),  # 72 -> 144
]


def batch_norm(channels: int, rank: int = 2) -> nn.Module:
    """Keras' defaults: epsilon 1e-3, and a momentum of 0.99 that PyTorch counts from the other end."""
    kind = nn.BatchNorm2d if rank == 2 else nn.BatchNorm1d
    return kind(channels, eps=1e-3, momentum=0.01)


class ConvBlock(nn.Module):
    """Conv 3x3 "same" -> batch norm -> ELU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = batch_norm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.elu(self.norm(self.conv(x)))


class UpBlock(nn.Module):
    """Transposed conv 3x3 stride 2 -> batch norm -> ELU.

    The whole transposed convolution of n rows has 2n + 1. Keras' "valid" keeps them all; its "same"
    keeps the first 2n. (`padding=1, output_padding=1` would keep the last 2n instead.)
    """

    def __init__(self, inputs: int, outputs: int, same: bool):
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2)
        self.norm = batch_norm(outputs)
        self.same = same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.same:
            x = x[:, :, :-1, :-1]
        return F.elu(self.norm(x))


class EncoderStage(nn.Module):
    def __init__(self, inputs: int, widths: tuple[int, ...]):
        super().__init__()
        self.blocks = nn.ModuleList(map(ConvBlock, (inputs, *widths), widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return F.max_pool2d(x, 2)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        inputs = (3, *(widths[-1] for widths in ENCODER))
        self.stages = nn.ModuleList(map(EncoderStage, inputs, ENCODER))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class Bottleneck(nn.Module):
    """2x2x512, flattened in the order H, W, C, to the mean and the log-deviation of the code."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2048, 1024)
        self.norm = batch_norm(1024, rank=0)
        self.mean = nn.Linear(1024, LATENT)
        self.logDeviation = nn.Linear(1024, LATENT)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = F.elu(self.norm(self.hidden(x)))
        return self.mean(x), self.logDeviation(x)


class DecoderStage(nn.Module):
    def __init__(self, inputs: int, widths: tuple[int, ...], same: bool):
        super().__init__()
        self.up = UpBlock(inputs, 64, same)
        self.blocks = nn.ModuleList(map(ConvBlock, (64, *widths), widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(x)
        for block in self.blocks:
            x = block(x)
        return x


class Decoder(nn.Module):
    """A code to the logits of a picture of `channels` channels."""

    def __init__(self, channels: int):
        super().__init__()
        inputs = (512, *(widths[-1] for widths, _ in DECODER))
        self.stages = nn.ModuleList(DecoderStage(n, *stage) for n, stage in zip(inputs, DECODER))
        self.output = nn.Conv2d(32, channels, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = z.reshape(-1, 2, 2, 512).permute(0, 3, 1, 2)
        for stage in self.stages:
            x = stage(x)
        return self.output(x)


class FaceVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.bottleneck = Bottleneck()
        self.imageDecoder = Decoder(3)
        self.maskDecoder = Decoder(1)

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-deviation of the code, each N x 2048."""
        return self.bottleneck(self.encoder(image))

    def decode_image(self, z: torch.Tensor) -> torch.Tensor:
        """The picture in [0, 1], N x 3 x 144 x 144."""
        return torch.sigmoid(self.imageDecoder(z))

    def decode_mask(self, z: torch.Tensor) -> torch.Tensor:
        """The mask's logits, N x 1 x 144 x 144."""
        return self.maskDecoder(z)

    def forward(self, image: torch.Tensor, noise: torch.Tensor):
        """Picture, mask logits, mean and log-deviation; `noise` is N x 2048, standard normal."""
        mean, log_deviation = self.encode(image)
        z = mean + noise * torch.exp(log_deviation)
        return self.decode_image(z), self.decode_mask(z), mean, log_deviation
