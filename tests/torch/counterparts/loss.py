"""Losses and their gradients; reduction is 0 none, 1 mean, 2 sum."""

import torch
import torch.nn.functional as F

from . import REDUCTION, gradient, named, table


def bce_logits(x, target, weight, pos_weight, reduction):
    return F.binary_cross_entropy_with_logits(x, target, weight, pos_weight=pos_weight, reduction=REDUCTION[reduction])


def bce(x, target, weight, reduction):
    return F.binary_cross_entropy(x, target, None if weight is None else weight.expand(x.shape), reduction=REDUCTION[reduction])


def kl(x, target, reduction, log):
    return F.kl_div(x, target, reduction=[*REDUCTION, "batchmean"][reduction], log_target=log)


def smooth(x, target, reduction, beta):
    return F.smooth_l1_loss(x, target, reduction=REDUCTION[reduction], beta=beta)


def nll(x, target, weight, reduction, ignored):
    return F.nll_loss(x, target.long(), weight, ignore_index=ignored, reduction=REDUCTION[reduction])


def nll_gradient(g, x, target, weight, reduction, ignored):
    return gradient(lambda x: nll(x, target, weight, reduction, ignored), x, g)


def counted(target, weight, classes, ignored):
    target = target.long().reshape(-1)
    target = target[target != ignored]
    return torch.ones(classes, dtype=torch.float64)[target].sum() if weight is None else weight[target].sum()


def by_element(loss):
    """The gradient of a loss; gradOutput may be one number or one for each element, whatever the reduction."""
    def back(g, x, *how):
        *how, r = how
        d = gradient(lambda x: loss(x, *how, 0), x, torch.ones(x.shape, dtype=x.dtype))
        return g * d / (x.numel() if r == 1 else 1)
    return back


table({
    "MseLoss": lambda x, y, r: F.mse_loss(x, y, reduction=REDUCTION[r]),
    "L1Loss": lambda x, y, r: F.l1_loss(x, y, reduction=REDUCTION[r]),
    "L1LossBackward": lambda g, x, y, r: g * torch.sign(x - y) / (x.numel() if r == 1 else 1),
    "SmoothL1Loss": smooth,
    "SoftMarginLoss": lambda x, y, r: F.soft_margin_loss(x, y, reduction=REDUCTION[r]),
    "BinaryCrossEntropy": bce,
    "BinaryCrossEntropyWithLogits": bce_logits,
    "KlDiv": kl,
    "KlDivBackward": lambda g, x, y, r, log: gradient(lambda x: kl(x, y, r, log), x, g),
    "KlDivTargetBackward": lambda g, x, y, r, log: gradient(lambda y: kl(x, y, r, log), y, g),
    "NLLLossBackward": nll_gradient,
    "NLLLoss2dBackward": nll_gradient,
})
table({
    "MseLossBackward": by_element(lambda x, y, r: F.mse_loss(x, y, reduction=REDUCTION[r])),
    "SoftMarginLossBackward": by_element(lambda x, y, r: F.soft_margin_loss(x, y, reduction=REDUCTION[r])),
}, 4)
table({
    "SmoothL1LossBackward": lambda g, x, y, r, beta: by_element(lambda x, y, r: smooth(x, y, r, beta))(g, x, y, r),
    "BinaryCrossEntropyBackward": lambda g, x, y, w, r: by_element(bce)(g, x, y, w, r),
    "BinaryCrossEntropyWithLogitsBackward": lambda g, x, y, w, p, r: by_element(bce_logits)(g, x, y, w, p, r),
})


@named("NLLLoss", "NLLLoss2d")
def nll_loss(a):
    classes = a.self.shape[0 if a.self.dim() == 1 else 1]
    total = counted(a.target, a.weight, classes, a.ignoreIndex)
    return nll(a.self, a.target, a.weight, a.reduction, a.ignoreIndex), total if a.reduction else None


@named("MultilabelMarginLoss")
def multilabel_margin_loss(a):
    return tuple(torch.ops.aten.multilabel_margin_loss_forward(a.self, a.target.long(), a.reduction))


def ctc(x, a):
    zero = getattr(a, "zeroInfinity", False)
    lengths = getattr(a, "targetlengths", None) or a.targetLengths
    return F.ctc_loss(x, a.targets, a.inputLengths, lengths, blank=a.blank, reduction="none", zero_infinity=zero)


@named("CtcLoss")
def ctc_loss(a):
    return ctc(a.logProbs, a), None


@named("CtcLossBackward")
def ctc_loss_backward(a):
    """aten's, from its own logAlpha: the gradient is that to what went into log_softmax."""
    return torch.ops.aten._ctc_loss_backward(
        a.gradOut, a.logProbs, a.targets, a.inputLengths, a.targetLengths,
        *torch.ops.aten._ctc_loss(a.logProbs, a.targets, a.inputLengths, a.targetLengths, a.blank, a.zeroInfinity),
        a.blank, a.zeroInfinity)
