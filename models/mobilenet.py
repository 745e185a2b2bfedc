"""MobileNetV2 at width 0.5, the CRD framework's form for 32x32 images.

Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, table 2.
Departures, those of the framework: the second group has stride 1; the first block has a 1x1
expansion although the ratio is 1; widths are truncated, not rounded to multiples of 8; ReLU
instead of ReLU6. The last convolution keeps its 1280 channels.
"""

from torch import Tensor, nn

from models.initial_weights import he_normal_, small_normal_
from models.network import Continuation, Network, pooled
from models.outputs import Outputs


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise and linear 1x1 convolution; a shortcut if shapes agree."""

    def __init__(self, in_width: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_width * expansion
        self.has_shortcut = stride == 1 and in_width == width
        self.conv = nn.Sequential(
            nn.Conv2d(in_width, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] to [B, width, H / stride, W / stride]."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class MobileNet(Network):
    """Maps "stem" and "stage1" have 1/2 of the image's size, then 1/4, 1/8 and 1/16.

    The maps are linear bottlenecks without a ReLU, so the pre-activation maps are the feature
    maps.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = _convolution(3, 16, kernel_size=3, stride=2)
        self.blocks = nn.ModuleList(
            [
                _group(1, 16, 8, stride=1, expansion=1),
                _group(2, 8, 12, stride=1, expansion=6),
                _group(3, 12, 16, stride=2, expansion=6),
                _group(4, 16, 32, stride=2, expansion=6),
                _group(3, 32, 48, stride=1, expansion=6),
                _group(3, 48, 80, stride=2, expansion=6),
                _group(1, 80, 160, stride=1, expansion=6),
            ]
        )
        self.conv2 = _convolution(160, 1280, kernel_size=1, stride=1)
        classifier = nn.Linear(1280, num_classes)
        self.classifier = nn.Sequential(classifier)
        he_normal_(self)
        small_normal_(classifier)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        group0, group1, group2, group3, group4, group5, group6 = self.blocks
        stem = self.conv1(images)
        stage1 = group1(group0(stem))
        stage2 = group2(stage1)
        stage3 = group4(group3(stage2))
        stage4 = group6(group5(stage3))
        embedding = self.conv2(stage4).mean(dim=(2, 3))
        maps = {
            "stem": stem,
            "stage1": stage1,
            "stage2": stage2,
            "stage3": stage3,
            "stage4": stage4,
        }
        return Outputs(
            self.classifier(embedding),
            embedding,
            maps,
            dict(maps),
            classifier=self.classifier.get_parameter("0.weight"),
        )

    def continuation(self) -> Continuation:
        _, _, group2, group3, group4, group5, group6 = self.blocks
        again = nn.Sequential(
            _group(3, 160, 80, stride=1, expansion=6), _group(1, 80, 160, stride=1, expansion=6)
        )
        he_normal_(again)
        return Continuation(
            {
                "stage1": group2,
                "stage2": nn.Sequential(group3, group4),
                "stage3": nn.Sequential(group5, group6),
                "stage4": again,
            },
            nn.Sequential(self.conv2, pooled(self.classifier)),
        )


def _convolution(in_width: int, width: int, kernel_size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            in_width, width, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        ),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def _group(blocks: int, in_width: int, width: int, stride: int, expansion: int) -> nn.Sequential:
    rest = (InvertedResidual(width, width, 1, expansion) for _ in range(blocks - 1))
    return nn.Sequential(InvertedResidual(in_width, width, stride, expansion), *rest)


def MobileNetV2(num_classes: int) -> MobileNet:  # noqa: N802, the framework's name
    return MobileNet(num_classes)
