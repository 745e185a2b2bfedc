"""ShuffleNet (version 1) with 3 groups, the CRD framework's form for 32x32 images.

Source: "ShuffleNet", arXiv:1707.01083, table 1, 1x. Departures, those of the framework:
the stem is one 1x1 convolution without stride or pooling, and a ReLU follows the depthwise
convolution.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.network import Continuation, Network
from models.outputs import Outputs
from models.stages import continue_stages, run_stages


class Bottleneck(nn.Module):
    """Grouped 1x1, shuffle, 3x3 depthwise, grouped 1x1; returns the result before its ReLU.

    With stride 2 the pooled input is concatenated, otherwise the input is added.
    """

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        # The paper does not group the first layer, because the stem has only 24 channels.
        self.groups = 1 if in_width == 24 else 3
        self.stride = stride
        inner = width // 4
        self.conv1 = nn.Conv2d(in_width, inner, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, groups=3, bias=False)
        self.bn3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] to [B, width, H, W]; stride 2: [B, in_width + width, H/2, W/2]."""
        inner = F.relu(self.bn1(self.conv1(x)), inplace=True)
        inner = F.channel_shuffle(inner, self.groups)
        inner = F.relu(self.bn2(self.conv2(inner)), inplace=True)
        inner = self.bn3(self.conv3(inner))
        if self.stride == 2:
            return torch.cat((inner, F.avg_pool2d(x, 3, stride=2, padding=1)), dim=1)
        return inner + x


class ShuffleNetV1(Network):
    """The map "stem" has the image's size; three stages halve it each."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = _stage(4, 24, 240)
        self.layer2 = _stage(8, 240, 480)
        self.layer3 = _stage(4, 480, 960)
        self.linear = nn.Linear(960, num_classes)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        stem = F.relu(self.bn1(self.conv1(images)), inplace=True)
        return run_stages(stem, (self.layer1, self.layer2, self.layer3), self.linear)

    def continuation(self) -> Continuation:
        again = nn.Sequential(*(Bottleneck(960, 960, stride=1) for _ in self.layer3))
        return continue_stages((self.layer1, self.layer2, self.layer3), again, self.linear)


def _stage(blocks: int, in_width: int, width: int) -> nn.Sequential:
    # The first block's output, concatenated with its input, is `width` wide.
    first = Bottleneck(in_width, width - in_width, stride=2)
    return nn.Sequential(first, *(Bottleneck(width, width, stride=1) for _ in range(blocks - 1)))


def ShuffleV1(num_classes: int) -> ShuffleNetV1:  # noqa: N802, the framework's name
    return ShuffleNetV1(num_classes)
