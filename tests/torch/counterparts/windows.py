"""Windows: convolution, pooling, borders, resizing, sampling; and their gradients."""

import torch
import torch.nn.functional as F

from . import gradient, gradients, named, table
from .reduction import Place


def convolution(a, x, weight, bias):
    n = weight.dim() - 2
    return torch.convolution(x, weight, bias, a.stride[:n], halves(a.padding, n), a.dilation[:n], a.transposed, a.outputPadding[:n] if a.outputPadding else [0] * n, a.groups)


def halves(padding, n):
    return padding[:n] if len(padding) <= n else padding[::2]


@named("Convolution")
def convolve(a):
    if len(a.padding) == 2 * (a.weight.dim() - 2) and a.padding[::2] != a.padding[1::2]:
        return None
    return convolution(a, a.input, a.weight, a.bias)


@named("ConvolutionBackward")
def convolve_backward(a):
    bias = torch.zeros(a.biasSizes[0] if a.biasSizes else a.gradOutput.shape[1], dtype=a.input.dtype)
    found = gradients(lambda x, w, b: convolution(a, x, w, b), (a.input, a.weight, bias), a.gradOutput)
    names = ("gradInput", "gradWeight", "gradBias")
    return {name: g if wanted else None for name, g, wanted in zip(names, found, a.outputMask)}


@named("ConvDepthwise2d")
def depthwise(a):
    return F.conv2d(a.self, a.weight, a.bias, a.stride, a.padding, a.dilation, a.self.shape[-3])


def pooled(rank):
    pool = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][rank - 1]
    return lambda x, kernel, stride, padding, ceil, whole, divisor: pool(
        x, kernel, stride or kernel, padding, ceil, whole, divisor or None)


def pooled_gradient(rank):
    return lambda g, x, *how: gradient(lambda x: pooled(rank)(x, *how), x, g)


table({"AvgPool2d": pooled(2), "AvgPool3d": pooled(3)}, 7)
table({"AvgPool2dBackward": pooled_gradient(2), "AvgPool3dBackward": pooled_gradient(3)}, 8)
table({
    "AdaptiveAvgPool2d": lambda x, size: F.adaptive_avg_pool2d(x, size),
    "AdaptiveAvgPool3d": lambda x, size: F.adaptive_avg_pool3d(x, size),
    "AdaptiveAvgPool2dBackward": lambda g, x: gradient(lambda x: F.adaptive_avg_pool2d(x, g.shape[-2:]), x, g),
    "AdaptiveAvgPool3dBackward": lambda g, x: gradient(lambda x: F.adaptive_avg_pool3d(x, g.shape[-3:]), x, g),
    "AdaptiveMaxPool2d": lambda x, size: tuple(F.adaptive_max_pool2d(x, size, return_indices=True)),
    "AdaptiveMaxPool3d": lambda x, size: tuple(F.adaptive_max_pool3d(x, size, return_indices=True)),
})


def at_places(rank):
    """gradOutput added at the places of each plane."""
    def back(g, x, indices):
        lead = x.shape[: x.dim() - rank]
        flat = torch.zeros(lead + (x[(0,) * len(lead)].numel(),), dtype=g.dtype)
        return flat.scatter_add(-1, indices.long().reshape(lead + (-1,)), g.reshape(lead + (-1,))).reshape(x.shape)
    return back


table({
    "AdaptiveMaxPool2dBackward": at_places(2), "AdaptiveMaxPool3dBackward": at_places(3),
    "MaxPool2dWithIndicesBackward": at_places(2), "MaxPool3dWithArgmaxBackward": at_places(3),
}, 3)


@named("MaxPool2dWithIndices", "MaxPool3dWithArgmax")
def max_pool(a):
    pool = F.max_pool2d if len(a.kernelSize) == 2 and "3d" not in a.operator else F.max_pool3d
    y, places = pool(a.self, a.kernelSize, a.stride or None, a.padding, a.dilation, a.ceilMode, return_indices=True)
    flat = a.self.reshape(*a.self.shape[: a.self.dim() - (2 if pool is F.max_pool2d else 3)], -1)
    lead = flat.shape[:-1]
    return y, Place(flat, -1, y.reshape(lead + (-1,)))


@named("MaxPool2dWithMask")
def max_pool_with_mask(a):
    return F.max_pool2d(a.self, a.kernelSize, a.stride or None, a.padding, a.dilation, a.ceilMode), None


@named("MaxPool")
def max_pool_plain(a):
    n = len(a.kernelShape)
    pads = a.pads or [0] * (2 * n)
    before, after = pads[:n], pads[n:]
    if before != after:
        return None
    pool = F.max_pool2d if n == 2 else F.max_pool3d
    return pool(a.self, a.kernelShape, a.strides, before, a.dilations or 1, bool(a.ceilMode))


def border(mode):
    return lambda x, padding: F.pad(x, padding, mode)


for name, mode in (("Reflection", "reflect"), ("Replication", "replicate"), ("Circular", "circular")):
    for rank in ("1d", "2d", "3d"):
        table({f"{name}Pad{rank}": border(mode)})
        table({f"{name}Pad{rank}Backward": lambda g, x, padding, mode=mode: gradient(
            lambda x: F.pad(x, padding, mode), x, g)}, 3)
table({"ConstantPadNd": lambda x, padding, value: F.pad(x, padding, value=value)})


def unfold(x, kernel, dilation, padding, stride):
    return F.unfold(x, kernel, dilation, padding, stride)


table({
    "Im2col": unfold,
    "AffineGrid": lambda theta, size, aligned: F.affine_grid(theta, size, aligned),
    "MaxUnpool2dBackward": lambda g, x, at, size: g.flatten(-2).gather(-1, at.long().flatten(-2)).reshape(x.shape),
    "MaxUnpool3dBackward": lambda g, x, at, size: g.flatten(-3).gather(-1, at.long().flatten(-3)).reshape(x.shape),
    "Im2colBackward": lambda g, size, kernel, dilation, padding, stride: F.fold(g, size, kernel, dilation, padding, stride),
    "ChannelShuffle": lambda x, groups: torch.channel_shuffle(x, groups),
})


@named("UnfoldGrad")
def unfold_grad(a):
    return torch.ops.aten.unfold_backward(a.gradOut, a.inputSizes, a.dim, a.size, a.step)


def scale(value):
    return value if value and value > 0 else None


KINDS = {"Nearest1d": "upsample_nearest1d", "Nearest2d": "upsample_nearest2d", "Nearest3d": "upsample_nearest3d",
         "NearestExact1d": "_upsample_nearest_exact1d", "NearestExact2d": "_upsample_nearest_exact2d",
         "NearestExact3d": "_upsample_nearest_exact3d", "Linear1d": "upsample_linear1d",
         "Bilinear2d": "upsample_bilinear2d", "Bicubic2d": "upsample_bicubic2d", "Trilinear3d": "upsample_trilinear3d"}


def scales_of(a, rank):
    names = [["scales" if hasattr(a, "scales") else "scaleL"], ["scalesH", "scalesW"], ["scalesD", "scalesH", "scalesW"]][rank - 1]
    return [scale(getattr(a, name, None)) for name in names]


def resize(name, aten):
    rank = int(name[-2])
    corners = "inear" in name or "cubic" in name

    def forward(a):
        how = ([a.alignCorners] if corners else []) + scales_of(a, rank)
        return getattr(torch.ops.aten, aten)(a.self, a.outputSize, *how)

    def backward(a):
        g = next(x for x in (getattr(a, "gradOut", None), getattr(a, "gradOutput", None)) if x is not None)
        how = ([a.alignCorners] if corners else []) + scales_of(a, rank)
        return getattr(torch.ops.aten, aten + "_backward")(g, a.outputSize, a.inputSize, *how)

    named(f"Upsample{name}", f"Upsample{name}V2")(forward)
    named(f"Upsample{name}Backward", f"Upsample{name}BackwardV2")(backward)


for name, aten in KINDS.items():
    resize(name, aten)


@named("GridSampler2D", "GridSampler3D")
def grid_sample(a):
    return torch.grid_sampler(a.input, a.grid, a.interpolationMode, a.paddingMode, a.alignCorners)


@named("GridSampler2DBackward", "GridSampler3DBackward")
def grid_sample_backward(a):
    found = gradients(lambda x, grid: torch.grid_sampler(x, grid, a.interpolationMode, a.paddingMode, a.alignCorners),
                      (a.input, a.grid), a.gradOutput)
    return {name: g if wanted else None for name, g, wanted in zip(("inputGrad", "gridGrad"), found, a.outputMask)}
