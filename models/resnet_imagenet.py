"""ResNet18, ResNet34 and ResNet50: the ImageNet networks adapted to small images.

Source: "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1.
Departures, those of the CRD framework: the stem is one 3x3 convolution of stride 1 without
max-pooling, so a 32x32 image reaches the first stage at full size. A bottleneck strides in
its 3x3 convolution, not in the first 1x1.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.initial_weights import he_normal_
from models.network import Continuation, Network
from models.outputs import Outputs
from models.stages import continue_stages, run_stages


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; returns the sum before its ReLU."""

    expansion = 1

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(in_width, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] to [B, width, H / stride, W / stride]."""
        inner = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(inner)) + self.shortcut(x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; returns the sum before its ReLU."""

    expansion = 4

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.shortcut = _shortcut(in_width, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] to [B, 4 * width, H / stride, W / stride]."""
        inner = F.relu(self.bn1(self.conv1(x)), inplace=True)
        inner = F.relu(self.bn2(self.conv2(inner)), inplace=True)
        return self.bn3(self.conv3(inner)) + self.shortcut(x)


class ResNet(Network):
    """Maps "stem" and "stage1" have the image's size; three more stages halve it each."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.block = block
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(block, blocks[0], 64, 64, stride=1)
        self.layer2 = _stage(block, blocks[1], 64 * block.expansion, 128, stride=2)
        self.layer3 = _stage(block, blocks[2], 128 * block.expansion, 256, stride=2)
        self.layer4 = _stage(block, blocks[3], 256 * block.expansion, 512, stride=2)
        self.linear = nn.Linear(512 * block.expansion, num_classes)
        he_normal_(self)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        stem = F.relu(self.bn1(self.conv1(images)), inplace=True)
        return run_stages(stem, self._stages(), self.linear)

    def continuation(self) -> Continuation:
        width = self.linear.in_features
        again = _stage(self.block, len(self.layer4), width, 512, stride=1)
        he_normal_(again)
        return continue_stages(self._stages(), again, self.linear)

    def _stages(self) -> tuple[nn.Sequential, ...]:
        return self.layer1, self.layer2, self.layer3, self.layer4


def _shortcut(in_width: int, out_width: int, stride: int) -> nn.Sequential:
    if stride == 1 and in_width == out_width:
        return nn.Sequential()
    convolution = nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_width))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], blocks: int, in_width: int, width: int, stride: int
) -> nn.Sequential:
    out_width = width * block.expansion
    rest = (block(out_width, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(block(in_width, width, stride), *rest)


def ResNet18(num_classes: int) -> ResNet:  # noqa: N802, the framework's name
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes)


def ResNet34(num_classes: int) -> ResNet:  # noqa: N802
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes)


def ResNet50(num_classes: int) -> ResNet:  # noqa: N802
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes)
