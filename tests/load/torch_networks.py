"""Small PyTorch networks of the kinds that users bring."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet(nn.Module):
    """Two convolutions, a flatten that a linear layer must absorb, functional activations. [1, 28, 28]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(torch.relu(x.view(x.size(0), -1)))))


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu, self.down = nn.ReLU(inplace=True), nn.Identity()
        if stride > 1:
            self.down = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.down(x))


class ResNet8(nn.Module):
    """Three residual blocks. [3, 16, 16]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 32, 2))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class SqueezeExcite(nn.Module):
    """The published variants: 1x1 convolutions, or linear layers and expand_as."""

    def __init__(self, channels: int, linear: bool) -> None:
        super().__init__()
        make = nn.Linear if linear else lambda i, o: nn.Conv2d(i, o, 1)
        self.pool, self.linear = nn.AdaptiveAvgPool2d(1), linear
        self.down, self.up = make(channels, channels // 2), make(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(x)
        y = y.view(x.size(0), -1) if self.linear else y
        y = torch.sigmoid(self.up(torch.relu(self.down(y))))
        return x * (y.view(x.size(0), -1, 1, 1).expand_as(x) if self.linear else y)


class MobileNet(nn.Module):
    """Depthwise convolutions, squeeze and excite, TensorFlow's padding, newer activations. [3, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(inplace=True)),
            *(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU6(inplace=True), SqueezeExcite(8, linear=False)),
            *(nn.Conv2d(8, 16, 1), SqueezeExcite(16, linear=True), nn.ZeroPad2d((0, 1, 0, 1))),
            *(nn.Conv2d(16, 16, 3, 2, groups=16), nn.SiLU()),
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16, 10), nn.Softmax(-1))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class Sequence(nn.Module):
    """One-dimensional convolutions over [6, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv1d(6, 8, 5, padding=4, dilation=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
            *(nn.Conv1d(8, 8, 3, padding="same"), nn.Tanh(), nn.AvgPool1d(2), nn.Flatten()),
            *(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 5)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Shuffle(nn.Module):
    """Grouped convolutions around a channel shuffle, which moves data inside the network. [4, 5, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(8, 8, 3, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        return self.b(y).mean((2, 3))


class Attention(nn.Module):
    """What the graph can't express: attention, normalization of layers, an LSTM, a moved batch. [3, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.position = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.randn(1, 4, 16))
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.lstm, self.head = nn.LSTM(16, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(self.patches(x).flatten(2).transpose(1, 2) + self.position)
        return self.head(self.lstm(x.permute(1, 0, 2))[0][-1])


NETWORKS = {
    "lenet": (LeNet, (1, 28, 28)),
    "resnet8": (ResNet8, (3, 16, 16)),
    "mobilenet": (MobileNet, (3, 32, 32)),
    "sequence": (Sequence, (6, 32)),
    "shuffle": (Shuffle, (4, 5, 6)),
}


def network(name: str, samples: int = 3) -> tuple[nn.Module, Tensor]:
    """A network of `NETWORKS` in evaluation mode, with statistics that are not the identity, and inputs."""
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    return ready(make()), torch.randn(samples, *shape)


def ready(module: nn.Module) -> nn.Module:
    """Evaluation mode, with normalization statistics that are not the identity."""
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
    return module.eval()
