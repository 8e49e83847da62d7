"""The networks of the zoo in PyTorch, layer for layer, as floats, for quantization-aware training and for integers.

A recipe says what a layer is made of: Recipe() plain floating point, Recipe(qat=True) 4-bit weights and 8-bit inputs
with learned steps (LSQ, arXiv 1902.08153), fused=True with PyTorch's own fused quantizers instead of its formulas.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.quantized import FloatFunctional

WEIGHT_HIGH = 7  # 4 bits, symmetric


class StraightThrough(torch.autograd.Function):
    """Rounds; the gradient passes as if nothing had happened."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class InputQuantizer(nn.Module):
    """Eight bits with a learned step. Images and differences may be negative, what comes from a ReLU is not."""

    def __init__(self, fused, signed):
        super().__init__()
        self.low, self.high = (-128, 127) if signed else (0, 255)
        self.fused = fused
        self.step = nn.Parameter(torch.tensor([0.05]))
        self.register_buffer("zero", torch.zeros(1))

    def forward(self, x):
        share = 1 / math.sqrt(x[0].numel() * self.high)  # how much of its gradient the step gets
        if self.fused:
            return torch._fake_quantize_learnable_per_tensor_affine(x, self.step, self.zero, self.low, self.high,
                                                                    share)
        step = (self.step - self.step * share).detach() + self.step * share
        return StraightThrough.apply(torch.clamp(x / step, self.low, self.high)) * step


class WeightQuantizer:
    """Mixed into a layer: quantizes its weight and keeps the squared error of that."""

    def prepare(self, recipe, signed):
        self.fused = recipe.fused
        self.quantize_input = InputQuantizer(recipe.fused, signed)
        self.error = None

    def quantized_weight(self):
        w = self.weight
        with torch.no_grad():
            scale = w.abs().max() / WEIGHT_HIGH
        if self.fused:
            q = torch.fake_quantize_per_tensor_affine(w, float(scale), 0, -WEIGHT_HIGH, WEIGHT_HIGH)
        else:
            q = StraightThrough.apply(torch.clamp(w / scale, -WEIGHT_HIGH, WEIGHT_HIGH)) * scale
        self.error = ((w - q.detach())**2).sum()
        return q


class QuantizedConv(nn.Conv2d, WeightQuantizer):

    def forward(self, x):
        return self._conv_forward(self.quantize_input(x), self.quantized_weight(), self.bias)


class QuantizedLinear(nn.Linear, WeightQuantizer):

    def forward(self, x):
        return F.linear(self.quantize_input(x), self.quantized_weight(), self.bias)


class Recipe:

    def __init__(self, qat=False, fused=False):
        self.qat, self.fused = qat, fused

    def conv(self, i, o, kernel, stride=1, pad=None, groups=1, bias=False, signed=False):
        layer = (QuantizedConv if self.qat else nn.Conv2d)(i, o, kernel, stride, kernel // 2 if pad is None else pad,
                                                          groups=groups, bias=bias)
        if self.qat:
            layer.prepare(self, signed)
        return layer

    def linear(self, i, o, signed=False):
        layer = (QuantizedLinear if self.qat else nn.Linear)(i, o)
        if self.qat:
            layer.prepare(self, signed)
        return layer

    def unit(self, i, o, kernel, relu=True, **how):
        """Convolution, normalization, ReLU: fused into one module for integers."""
        parts = [self.conv(i, o, kernel, **how), nn.BatchNorm2d(o)]
        return nn.Sequential(*parts, nn.ReLU(inplace=True)) if relu else nn.Sequential(*parts)


def lenet5(r):
    return nn.Sequential(r.conv(1, 20, 5, pad=0, bias=True, signed=True), nn.MaxPool2d(2),
                         r.conv(20, 50, 5, pad=0, bias=True, signed=True), nn.MaxPool2d(2), nn.Flatten(),
                         r.linear(800, 500, signed=True), nn.ReLU(inplace=True), r.linear(500, 10))


class Residual(nn.Module):

    def __init__(self, r, i, o):
        super().__init__()
        self.halve, self.more = i != o, o - i
        self.first = r.unit(i, o, 3, stride=2 if self.halve else 1)
        self.second = r.unit(o, o, 3, relu=False)
        self.sum = FloatFunctional()

    def forward(self, x):
        y = self.second(self.first(x))
        if self.halve:
            half = self.more // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.more - half))
        return self.sum.add_relu(x, y)


class Average(nn.Module):

    def forward(self, x):
        return x.mean((2, 3))


def resnet20(r):
    layers = [r.unit(3, 16, 3, signed=True)]
    width = 16
    for out in (16, 32, 64):
        for _ in range(3):
            layers.append(Residual(r, width, out))
            width = out
    return nn.Sequential(*layers, Average(), r.linear(64, 10))


class Difference(nn.Module):
    """The network learns what is missing in its input."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def vdsr(r):
    layers = [r.conv(1, 64, 3, signed=True), nn.ReLU(inplace=True)]
    for _ in range(18):
        layers += [r.conv(64, 64, 3), nn.ReLU(inplace=True)]
    return Difference(nn.Sequential(*layers, r.conv(64, 1, 3)))


def srcnn(r):
    return nn.Sequential(r.conv(1, 64, 9, bias=True, signed=True), nn.ReLU(inplace=True),
                         r.conv(64, 32, 5, bias=True), nn.ReLU(inplace=True), r.conv(32, 1, 5, bias=True))


def mobilenet_v1(r):
    layers = [r.unit(3, 32, 3, signed=True)]
    width = 32
    # for images of 32 pixels the stem and the first block that would halve keep the size
    for out, stride in ((64, 1), (128, 1), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
                        (512, 1), (512, 1), (1024, 2), (1024, 1)):
        layers += [r.unit(width, width, 3, stride=stride, groups=width), r.unit(width, out, 1)]
        width = out
    return nn.Sequential(*layers, Average(), r.linear(1024, 10))


# name: how to build it, shape of an image, whether it answers with one of ten classes or with an image
NETWORKS = {
    "lenet5": (lenet5, (1, 28, 28), True),
    "resnet20": (resnet20, (3, 32, 32), True),
    "vdsr": (vdsr, (1, 41, 41), False),
    "srcnn-9-5-5": (srcnn, (1, 33, 33), False),
    "mobilenet-v1": (mobilenet_v1, (3, 32, 32), True),
}


def count(net, shape):
    """Parameters that learn, and multiply-accumulates of one image in layers with weights."""
    macs = 0

    def hook(layer, _, out):
        nonlocal macs
        places = out.numel() // out.shape[1]
        macs += layer.weight.numel() * places

    hooks = [m.register_forward_hook(hook) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        net.eval()(torch.zeros(1, *shape))
    for h in hooks:
        h.remove()
    return sum(p.numel() for p in net.parameters()), macs


def to_integers(net, batch):
    """PyTorch's own way: layers fused, ranges observed on a batch, then converted for the engine it was built with."""
    quantization = torch.ao.quantization
    there = torch.backends.quantized.supported_engines
    engine = next(e for e in ("fbgemm", "onednn", "qnnpack") if e in there)
    torch.backends.quantized.engine = engine
    net.eval()
    for part in net.modules():
        if isinstance(part, nn.Sequential) and len(part) > 1 and isinstance(part[1], nn.BatchNorm2d):
            quantization.fuse_modules(part, [str(i) for i in range(len(part))], inplace=True)
    net = quantization.QuantWrapper(net)
    net.qconfig = quantization.get_default_qconfig(engine)
    quantization.prepare(net, inplace=True)
    with torch.no_grad():
        net(batch)
    return quantization.convert(net)
