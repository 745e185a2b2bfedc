"""CIFAR ResNets: three stages of basic blocks, 6n+2 layers deep.

Source: "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2.
Departures, those of the CRD framework: where the shape changes, projection shortcuts (1x1
convolution and batch norm) instead of padded identities. The x4 networks are four times as
wide, with a stem twice as wide. Pooling is global, so any image size works.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.initial_weights import he_normal_
from models.network import Continuation, Network
from models.outputs import Outputs
from models.stages import continue_stages, run_stages


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; returns the sum before its ReLU."""

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_width != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_width, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] to [B, width, H / stride, W / stride]."""
        inner = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(inner)) + self.downsample(x)


class ResNet(Network):
    """Maps "stem" and "stage1" have the image's size, then a half and a quarter of it."""

    def __init__(
        self, blocks: int, stem_width: int, widths: tuple[int, int, int], num_classes: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem_width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.layer1 = _stage(blocks, stem_width, widths[0], stride=1)
        self.layer2 = _stage(blocks, widths[0], widths[1], stride=2)
        self.layer3 = _stage(blocks, widths[1], widths[2], stride=2)
        self.fc = nn.Linear(widths[2], num_classes)
        he_normal_(self)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        stem = F.relu(self.bn1(self.conv1(images)), inplace=True)
        return run_stages(stem, (self.layer1, self.layer2, self.layer3), self.fc)

    def continuation(self) -> Continuation:
        width = self.fc.in_features
        again = _stage(len(self.layer3), width, width, stride=1)
        he_normal_(again)
        return continue_stages((self.layer1, self.layer2, self.layer3), again, self.fc)


def _stage(blocks: int, in_width: int, width: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_width, width, stride)
    return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))


def resnet8(num_classes: int) -> ResNet:
    return ResNet(1, 16, (16, 32, 64), num_classes)


def resnet14(num_classes: int) -> ResNet:
    return ResNet(2, 16, (16, 32, 64), num_classes)


def resnet20(num_classes: int) -> ResNet:
    return ResNet(3, 16, (16, 32, 64), num_classes)


def resnet32(num_classes: int) -> ResNet:
    return ResNet(5, 16, (16, 32, 64), num_classes)


def resnet44(num_classes: int) -> ResNet:
    return ResNet(7, 16, (16, 32, 64), num_classes)


def resnet56(num_classes: int) -> ResNet:
    return ResNet(9, 16, (16, 32, 64), num_classes)


def resnet110(num_classes: int) -> ResNet:
    return ResNet(18, 16, (16, 32, 64), num_classes)


def resnet8x4(num_classes: int) -> ResNet:
    return ResNet(1, 32, (64, 128, 256), num_classes)


def resnet32x4(num_classes: int) -> ResNet:
    return ResNet(5, 32, (64, 128, 256), num_classes)
