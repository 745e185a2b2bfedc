"""Wide residual networks WRN-d-w: pre-activation blocks, 6n+4 layers deep, w times as wide.

Source: "Wide Residual Networks", arXiv:1605.07146; no dropout, as in the CRD framework.

A feature map is the sum that a stage returns, without a ReLU. Its pre-activation map is that
sum after the following batch norm (in the next stage's first block, or the last one), so the
ReLU of a pre-activation map is not the feature map.
Departure: to get the maps the framework runs these batch norms a second time, which updates
their running statistics twice in training; here each runs once.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.initial_weights import he_normal_
from models.network import Continuation, MapOnly, Network, pooled
from models.outputs import Outputs


class BasicBlock(nn.Module):
    """Batch norm, ReLU and 3x3 convolution, twice, and a shortcut."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_width)
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.convShortcut = (
            None if in_width == width else nn.Conv2d(in_width, width, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's sum [B, width, H', W'], and the normalised input [B, in_width, H, W]."""
        normalised = self.bn1(x)
        activated = F.relu(normalised)
        inner = F.relu(self.bn2(self.conv1(activated)), inplace=True)
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        return self.conv2(inner) + shortcut, normalised


class Stage(nn.Module):
    """Blocks of one width; the first may stride."""

    def __init__(self, blocks: int, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        rest = (BasicBlock(width, width, 1) for _ in range(blocks - 1))
        self.layer = nn.Sequential(BasicBlock(in_width, width, stride), *rest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last block's sum [B, width, H', W'], and the first block's normalised input."""
        first, *rest = self.layer
        x, normalised = first(x)
        for block in rest:
            x, _ = block(x)
        return x, normalised


class WideResNet(Network):
    """Maps "stem" and "stage1" have the image's size, then a half and a quarter of it."""

    def __init__(self, depth: int, width: int, num_classes: int) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.block1 = Stage(blocks, 16, 16 * width, stride=1)
        self.block2 = Stage(blocks, 16 * width, 32 * width, stride=2)
        self.block3 = Stage(blocks, 32 * width, 64 * width, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, num_classes)
        he_normal_(self)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        stem = self.conv1(images)
        stage1, _ = self.block1(stem)
        stage2, normalised1 = self.block2(stage1)
        stage3, normalised2 = self.block3(stage2)
        normalised3 = self.bn1(stage3)
        embedding = F.relu(normalised3).mean(dim=(2, 3))
        return Outputs(
            self.fc(embedding),
            embedding,
            {"stem": stem, "stage1": stage1, "stage2": stage2, "stage3": stage3},
            {"stem": stem, "stage1": normalised1, "stage2": normalised2, "stage3": normalised3},
            classifier=self.fc.weight,
        )

    def continuation(self) -> Continuation:
        width = self.fc.in_features
        again = Stage(len(self.block3.layer), width, width, stride=1)
        he_normal_(again)
        return Continuation(
            {
                "stage1": MapOnly(self.block2),
                "stage2": MapOnly(self.block3),
                "stage3": MapOnly(again),
            },
            nn.Sequential(self.bn1, nn.ReLU(inplace=True), pooled(self.fc)),
        )


def wrn(depth: int, width: int, num_classes: int) -> WideResNet:
    """WRN-depth-width. Raises ValueError unless depth is 6n+4 (10, 16, ...) and width >= 1."""
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"a WRN has a depth of 6n+4 (10, 16, 22, 28, 34, 40, ...), not {depth}")
    if width < 1:
        raise ValueError(f"a WRN has a width of at least 1, not {width}")
    return WideResNet(depth, width, num_classes)


def wrn_16_1(num_classes: int) -> WideResNet:
    return wrn(16, 1, num_classes)


def wrn_16_2(num_classes: int) -> WideResNet:
    return wrn(16, 2, num_classes)


def wrn_40_1(num_classes: int) -> WideResNet:
    return wrn(40, 1, num_classes)


def wrn_40_2(num_classes: int) -> WideResNet:
    return wrn(40, 2, num_classes)
