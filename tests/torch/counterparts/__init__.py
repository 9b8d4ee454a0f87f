"""What torch's CPU computes for an operator of libopapi.so: a function for each, under its name without "aclnn".

A counterpart gets the operator's arguments by position, in the order of its declaration, as many as it takes: tensors
(floats as float64), lists, numbers, `torch.dtype`s, None for what is absent. Outputs that are only written are no
arguments. It gives the outputs in their order, None for one that is not compared. One that is `named` gets an object with the arguments
as attributes instead. Without a counterpart of its own, aclnnInplaceX is X of selfRef.
"""

import inspect

import torch

OPERATORS = {}
# What has only a range: the function gets the arguments and the outputs and raises if they are out of it.
RANDOM = {}
# Other tolerances than those of the type: what multiplies them.
LOOSER = {}
# Operators whose results may be what is left of inputs that cancel: differences below their rounding are none.
CANCELLING = {"AddLayerNormGrad", "BatchNormBackward", "DeepNormGrad", "GroupNormBackward", "GroupNormSwishGrad",
              "LayerNormBackward", "LogSoftmaxBackward", "RmsNormGrad", "SoftmaxBackward"}


class Counterpart:
    def __init__(self, function, arity):
        self.function, self.arity = function, arity

    def __call__(self, record):
        if self.arity is None:
            return self.function(record)
        return self.function(*record.positional[: self.arity])


class Start:
    """The first elements of an output that is not compared as a whole."""

    def __init__(self, elements):
        self.elements = elements


def _arity(function):
    return len([p for p in inspect.signature(function).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD])


def table(functions, arity=None):
    """Counterparts by name; `arity` for functions of torch, which do not tell theirs."""
    for name, function in functions.items():
        OPERATORS[name] = Counterpart(function, arity or _arity(function))


def positional(*names):
    def register(function):
        table(dict.fromkeys(names, function))
        return function
    return register


def named(*names):
    def register(function):
        for name in names:
            OPERATORS[name] = Counterpart(function, None)
        return function
    return register


def random(*names):
    def register(function):
        for name in names:
            RANDOM[name] = function
        return function
    return register


def find(name):
    """The counterpart of an operator, by its name in C."""
    name = name.removeprefix("aclnn")
    if name in OPERATORS:
        return OPERATORS[name]
    if name.startswith("Inplace"):
        return OPERATORS.get(name.removeprefix("Inplace"))
    return None


def gradients(function, inputs, gradient):
    """Gradients of `function(*inputs)` to those inputs that are floats, None for the others."""
    leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) if torch.is_tensor(x) else x for x in inputs]
    wanted = [x for x in leaves if torch.is_tensor(x) and x.requires_grad]
    output = function(*leaves)
    found = iter(torch.autograd.grad(output, wanted, gradient.to(output.dtype).reshape(output.shape), allow_unused=True))
    return tuple(next(found) if torch.is_tensor(x) and x.requires_grad else None for x in leaves)


def gradient(function, x, gradient_out):
    """The gradient of `function(x)` to x."""
    return gradients(function, (x,), gradient_out)[0]


REDUCTION = ["none", "mean", "sum"]

from . import attention, elementwise, fused, lists, loss, matrix, norm, place, quantised, reduction, routing, windows  # noqa: E402,F401
