"""The article's training objective, written the way one writes it in PyTorch.

Images are N x 3 x H x W in [0, 1], masks N x 1 x H x W.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Weights:
    """The weight of each term; the defaults are the article's."""

    ssim: float = 1.0
    mae: float = 4.0
    mask: float = 1.0
    kl: float = 1e-3


def gaussian_window(size: int = 9, sigma: float = 1.5, *, like: torch.Tensor) -> torch.Tensor:
    """A `size` x `size` Gaussian that sums to one."""
    x = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    g = torch.exp(-0.5 * (x / sigma) ** 2)
    window = g[:, None] * g[None, :]
    return window / window.sum()


def ssim(x: torch.Tensor, y: torch.Tensor, k1: float = 0.01, k2: float = 0.03, stride: int = 1) -> torch.Tensor:
    """SSIM of each image (shape N), 9x9 Gaussian window without padding, values in [0, 1].

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004;
    the same numbers as `tf.image.ssim(x, y, max_val=1, filter_size=9)`. With a stride, the mean over
    every so many rows and columns of the map only.
    """
    channels = x.shape[1]
    window = gaussian_window(like=x).expand(channels, 1, 9, 9)

    def blur(image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(image, window, stride=stride, groups=channels)

    c1, c2 = k1**2, k2**2
    mu_x, mu_y = blur(x), blur(y)
    var_x = blur(x * x) - mu_x * mu_x
    var_y = blur(y * y) - mu_y * mu_y
    cov = blur(x * y) - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + c1) / (mu_x * mu_x + mu_y * mu_y + c1)
    structure = (2 * cov + c2) / (var_x + var_y + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def dice(y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Dice loss of mask `y` and probabilities `p`, sums over the whole batch."""
    overlap = (y * p).abs().sum()
    return 1 - (2 * overlap + 1) / ((y * y).sum() + (p * p).sum() + 1 + 1e-8)


def kl(mean: torch.Tensor, log_deviation: torch.Tensor) -> torch.Tensor:
    """KL divergence to the standard normal, mean over batch and dimensions."""
    s = log_deviation
    return -0.5 * (1 + 2 * s - mean * mean - torch.exp(2 * s)).mean()


def compose(image: torch.Tensor, mask: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """`image` inside the mask, `background` outside."""
    return image * mask + background * (1 - mask)


def objective(
    image: torch.Tensor,
    mask: torch.Tensor,
    composed: torch.Tensor,
    mask_logits: torch.Tensor,
    mean: torch.Tensor,
    log_deviation: torch.Tensor,
    weights: Weights = Weights(),
    ssim_stride: int = 1,
) -> dict[str, torch.Tensor]:
    """Every term before its weight, and their weighted sum under `total`."""
    terms = {
        "ssim": 2 - ssim(image, composed, stride=ssim_stride).mean(),
        "mae": (image - composed).abs().mean(),
        "bce": F.binary_cross_entropy_with_logits(mask_logits, mask),
        "dice": dice(mask, torch.sigmoid(mask_logits)),
        "kl": kl(mean, log_deviation),
    }
    terms["total"] = (
        weights.ssim * terms["ssim"]
        + weights.mae * terms["mae"]
        + weights.mask * (terms["bce"] + terms["dice"])
        + weights.kl * terms["kl"]
    )
    return terms
