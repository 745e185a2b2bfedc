"""ShuffleNetV2 at width 1, the CRD framework's form for 32x32 images.

Source: "ShuffleNet V2", arXiv:1807.11164, table 5, 1x. Departures, those of the framework:
the stem is one 1x1 convolution without stride or pooling.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.network import Continuation, MapOnly, Network, pooled
from models.outputs import Outputs


class BasicBlock(nn.Module):
    """Half of the channels pass through, half go through 1x1, 3x3 depthwise and 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        """Both halves of [B, width, H, W], unchanged and computed, before ReLU and shuffle."""
        untouched, inner = x.chunk(2, dim=1)
        inner = F.relu(self.bn1(self.conv1(inner)), inplace=True)
        inner = self.bn2(self.conv2(inner))
        return torch.cat((untouched, self.bn3(self.conv3(inner))), dim=1)


class DownBlock(nn.Module):
    """Two strided branches, concatenated and shuffled."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(
            in_width, in_width, 3, stride=stride, padding=1, groups=in_width, bias=False
        )
        self.bn1 = nn.BatchNorm2d(in_width)
        self.conv2 = nn.Conv2d(in_width, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_width, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, stride=stride, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] to [B, width, H / stride, W / stride]."""
        left = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        right = F.relu(self.bn3(self.conv3(x)), inplace=True)
        right = self.bn5(self.conv5(self.bn4(self.conv4(right))))
        both = torch.cat((left, right), dim=1)
        return F.channel_shuffle(F.relu(both, inplace=True), 2)


class Stage(nn.Sequential):
    """A block that may stride, followed by blocks that do not."""

    def __init__(self, blocks: int, in_width: int, width: int, stride: int = 2) -> None:
        first = DownBlock(in_width, width, stride)
        super().__init__(first, *(BasicBlock(width) for _ in range(blocks)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's map [B, width, H, W], and the last block's, before ReLU and shuffle."""
        down, *rest = self
        x = down(x)
        for block in rest:
            before_relu = block(x)
            # The unchanged half has passed a ReLU already; a second one changes nothing.
            x = F.channel_shuffle(F.relu(before_relu), 2)
        return x, before_relu


class ShuffleNetV2(Network):
    """The map "stem" has the image's size; three stages halve it each.

    As in the framework, the feature maps are shuffled and the pre-activation maps are not: the
    ReLU of a pre-activation map is the feature map with its channels in another order.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = Stage(3, 24, 116)
        self.layer2 = Stage(7, 116, 232)
        self.layer3 = Stage(3, 232, 464)
        self.conv2 = nn.Conv2d(464, 1024, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1024)
        self.linear = nn.Linear(1024, num_classes)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        stem = F.relu(self.bn1(self.conv1(images)), inplace=True)
        stage1, before_relu1 = self.layer1(stem)
        stage2, before_relu2 = self.layer2(stage1)
        stage3, before_relu3 = self.layer3(stage2)
        last = F.relu(self.bn2(self.conv2(stage3)), inplace=True)
        embedding = last.mean(dim=(2, 3))
        return Outputs(
            self.linear(embedding),
            embedding,
            {"stem": stem, "stage1": stage1, "stage2": stage2, "stage3": stage3},
            {"stem": stem, "stage1": before_relu1, "stage2": before_relu2, "stage3": before_relu3},
            classifier=self.linear.weight,
        )

    def continuation(self) -> Continuation:
        again = Stage(3, 464, 464, stride=1)
        return Continuation(
            {
                "stage1": MapOnly(self.layer2),
                "stage2": MapOnly(self.layer3),
                "stage3": MapOnly(again),
            },
            nn.Sequential(self.conv2, self.bn2, nn.ReLU(inplace=True), pooled(self.linear)),
        )


def ShuffleV2(num_classes: int) -> ShuffleNetV2:  # noqa: N802, the framework's name
    return ShuffleNetV2(num_classes)
