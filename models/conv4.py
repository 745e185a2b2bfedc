"""Conv-4 and Conv-4-MP: the shallow students of MIMKD.

Source: "Estimating and Maximizing Mutual Information for Knowledge Distillation",
arXiv:2110.15946, appendix A.6: four blocks of 3x3 convolution, batch norm and ReLU, then
average pooling and a linear layer. Conv-4 strides by 2 in each block, Conv-4-MP
max-pools by 2 after each.

The paper gives neither widths nor initial weights. Our choice: 64, 128, 256 and 512
channels, doubling where the size halves as in the paper's other students, convolutions
without bias (batch norm follows), and the initial weights of the framework's ResNets.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.initial_weights import he_normal_
from models.network import Continuation, Network, pooled
from models.outputs import Outputs


class Conv4(Network):
    """Four blocks; maps are taken after each ReLU, before any max-pooling.

    Maps "stem", "stage1", "stage2" and "stage3" have 1/2, 1/4, 1/8 and 1/16 of the image's
    size; with max-pooling 1, 1/2, 1/4 and 1/8.
    """

    def __init__(self, num_classes: int, *, max_pooling: bool) -> None:
        super().__init__()
        # ceil_mode: of an 8x8 image a single pixel reaches the last pooling.
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if max_pooling else nn.Identity()
        stride = 1 if max_pooling else 2
        self.block0 = _block(3, 64, stride)
        self.block1 = _block(64, 128, stride)
        self.block2 = _block(128, 256, stride)
        self.block3 = _block(256, 512, stride)
        self.classifier = nn.Linear(512, num_classes)
        he_normal_(self)

    def forward(self, images: Tensor) -> Outputs:
        """Takes normalised images [B, 3, H, W]."""
        x = F.relu(self.block0(images), inplace=True)
        feature_maps = {"stem": x}
        pre_activation_maps = {"stem": x}
        for number, block in enumerate((self.block1, self.block2, self.block3), start=1):
            before_relu = block(self.pool(x))
            x = F.relu(before_relu)
            feature_maps[f"stage{number}"] = x
            pre_activation_maps[f"stage{number}"] = before_relu
        embedding = self.pool(x).mean(dim=(2, 3))
        return Outputs(
            self.classifier(embedding),
            embedding,
            feature_maps,
            pre_activation_maps,
            classifier=self.classifier.weight,
        )

    def continuation(self) -> Continuation:
        again = _block(512, 512, stride=1)
        he_normal_(again)
        return Continuation(
            {
                "stage1": nn.Sequential(self.pool, self.block2, nn.ReLU(inplace=True)),
                "stage2": nn.Sequential(self.pool, self.block3, nn.ReLU(inplace=True)),
                "stage3": nn.Sequential(again, nn.ReLU(inplace=True)),
            },
            nn.Sequential(self.pool, pooled(self.classifier)),
        )


def _block(in_width: int, width: int, stride: int) -> nn.Sequential:
    """Convolution and batch norm, without the ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
    )


def conv4(num_classes: int) -> Conv4:
    return Conv4(num_classes, max_pooling=False)


def conv4_mp(num_classes: int) -> Conv4:
    return Conv4(num_classes, max_pooling=True)
