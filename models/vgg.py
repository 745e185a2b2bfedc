"""VGG networks with batch norm and a single linear classifier.

Source: "Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv:1409.1556, table 1 (A, B, D, E); vgg8 is the CRD framework's, with one convolution per
stage. Departures, those of the framework: batch norm, no hidden linear layers, global average
pooling at the end, and max-pooling before the last stage only for images of 64 pixels or more
(the framework: exactly 64).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.initial_weights import he_normal_, small_normal_
from models.network import Continuation, Network, pooled
from models.outputs import Outputs


class VGG(Network):
    """Five groups of 3x3 convolutions; maps are taken after a group's last ReLU.

    The map "stem" has the image's size, "stage1" to "stage4" have 1/2, 1/4, 1/8 and 1/8 (1/16
    for images of 64 pixels or more).
    """

    def __init__(self, convolutions: tuple[int, int, int, int, int], num_classes: int) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.block0 = _convolutions(convolutions[0], 3, 64)
        self.block1 = _convolutions(convolutions[1], 64, 128)
        self.block2 = _convolutions(convolutions[2], 128, 256)
        self.block3 = _convolutions(convolutions[3], 256, 512)
        self.block4 = _convolutions(convolutions[4], 512, 512)
        self.classifier = nn.Linear(512, num_classes)
        he_normal_(self)
        small_normal_(self.classifier)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W] of at least 8x8 pixels."""
        x = F.relu(self.block0(images), inplace=True)
        feature_maps = {"stem": x}
        pre_activation_maps = {"stem": x}
        stages = (self.block1, self.block2, self.block3, self.block4)
        for number, stage in enumerate(stages, start=1):
            if number < 4 or images.shape[2] >= 64:
                x = F.max_pool2d(x, 2)
            before_relu = stage(x)
            x = F.relu(before_relu)
            feature_maps[f"stage{number}"] = x
            pre_activation_maps[f"stage{number}"] = before_relu
        embedding = x.mean(dim=(2, 3))
        return Outputs(
            self.classifier(embedding),
            embedding,
            feature_maps,
            pre_activation_maps,
            classifier=self.classifier.weight,
        )

    def continuation(self) -> Continuation:
        """Here the stem counts as a stage, and the last two stages as one.

        As in HSAKD (arXiv:2107.13715), because a 32x32 image has the same size in both.
        """
        again = nn.Sequential(
            _convolutions(self.convolutions[3], 512, 512),
            nn.ReLU(inplace=True),
            _convolutions(self.convolutions[4], 512, 512),
            nn.ReLU(inplace=True),
        )
        he_normal_(again)
        third = _after_pooling(nn.MaxPool2d(2), self.block3)
        return Continuation(
            {
                "stem": _after_pooling(nn.MaxPool2d(2), self.block1),
                "stage1": _after_pooling(nn.MaxPool2d(2), self.block2),
                "stage2": nn.Sequential(third, _after_pooling(PoolLarge(), self.block4)),
                "stage4": again,
            },
            pooled(self.classifier),
        )


class PoolLarge(nn.Module):
    """Max-pooling before the last stage, for images of 64 pixels or more."""

    def forward(self, x: Tensor) -> Tensor:
        """Halves stage3's map [B, C, H, W] if H, an eighth of the image's height, is 8 or more."""
        return F.max_pool2d(x, 2) if x.shape[2] >= 8 else x


def _after_pooling(pool: nn.Module, block: nn.Module) -> nn.Sequential:
    return nn.Sequential(pool, block, nn.ReLU(inplace=True))


def _convolutions(number: int, in_width: int, width: int) -> nn.Sequential:
    """3x3 convolution, batch norm and ReLU, `number` times, without the last ReLU."""
    layers: list[nn.Module] = []
    for _ in range(number):
        layers += [
            nn.Conv2d(in_width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        in_width = width
    return nn.Sequential(*layers[:-1])


def vgg8(num_classes: int) -> VGG:
    return VGG((1, 1, 1, 1, 1), num_classes)


def vgg11(num_classes: int) -> VGG:
    return VGG((1, 1, 2, 2, 2), num_classes)


def vgg13(num_classes: int) -> VGG:
    return VGG((2, 2, 2, 2, 2), num_classes)


def vgg16(num_classes: int) -> VGG:
    return VGG((2, 2, 3, 3, 3), num_classes)


def vgg19(num_classes: int) -> VGG:
    return VGG((2, 2, 4, 4, 4), num_classes)
