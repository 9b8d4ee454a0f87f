"""torch's own database of operators, and what the comparisons over it share.

An operator for which libopapi.so has no kernel, or which torch_npu itself does not have, is unsupported; anything else
that differs is a failure. Names as arguments choose operators; without `--full` a slice of them is taken.
"""

import collections
import os
import re
import sys
import time

import torch

from common import FULL

from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402

# Samples of an operator and a type, and one operator in so many, without --full.
SAMPLES, STEP = 3, 5

# What a card does not have either: torch_npu says so, or the operator is not there.
UNSUPPORTED = (
    "200006", "not currently supported", "not in libopapi", "not implemented for", "Could not run", "not support",
    "unsupported", "Unsupported", "expected", "fall back", "ACL_ERROR_FEATURE_UNSUPPORTED", "aclDataType",
    "Expected", "complex", "sparse", "NotImplemented", "aten::", "floats are needed", "a float is needed",
    "a real number is needed",
    "only support", "does not fit into out", "unspecified dimension size -1",
)
# What is behind these is lost: a kernel has stopped.
DEAD = ("507015", "507901", "stream synchronize failed")
# A type that CANN does not document for the operator.
WRONG_TYPE = re.compile(r"(has type|of) \w+.*; .*(is|are) needed")
# Results are not determined, or are no values.
NOT_COMPARED = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "rand_like", "randn_like",
    "randint_like", "randint", "randn", "normal", "bernoulli", "multinomial", "nn.functional.dropout",
    "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.alpha_dropout", "uniform", "exponential",
    "cauchy", "geometric", "log_normal", "nn.functional.rrelu", "nn.functional.feature_alpha_dropout",
    "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d", "svd_lowrank", "pca_lowrank",
    "bfloat16", "resize_", "resize_as_", "nn.functional.multi_head_attention_forward",
    "nn.functional.scaled_dot_product_attention",
}
# Only the first result is compared: the place of one of several equals, or a mask in the hardware's own form.
FIRST_ONLY = {
    "kthvalue", "median", "nanmedian", "mode", "topk", "sort", "msort", "max_pool2d_with_indices_backward",
    "nn.functional.max_pool1d", "nn.functional.max_pool2d", "nn.functional.max_pool3d", "cummax", "cummin",
}
# Only the singular values are compared: the vectors' signs are free.
SINGULAR = {"svd", "linalg.svd"}
# Samples for which torch_npu calls something else than torch: a card differs in the same way.
DEVIATIONS = {
    # The scale is not passed on.
    "nn.functional.interpolate": lambda s: s.kwargs.get("scale_factor"),
    "nn.functional.upsample_nearest": lambda s: s.kwargs.get("scale_factor"),
    # approximate='tanh' calls aclnnGelu.
    "nn.functional.gelu": lambda s: s.kwargs.get("approximate") == "tanh",
    # The mask is bits.
    "native_dropout_backward": lambda s: True,
    # The correction is passed on as an integer.
    "std": lambda s: isinstance(s.kwargs.get("correction"), float),
    "var": lambda s: isinstance(s.kwargs.get("correction"), float),
    "std_mean": lambda s: isinstance(s.kwargs.get("correction"), float),
    "var_mean": lambda s: isinstance(s.kwargs.get("correction"), float),
    # This wheel heeds `right` only.
    "searchsorted": lambda s: s.kwargs.get("side") == "right",
    # Of nothing, the means have another shape.
    "native_layer_norm": lambda s: s.input.numel() == 0,
}
HALF = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, *HALF)


def to(device, value, grad=False):
    """A copy on a device; of tensors that want gradients, a leaf that does, if asked."""
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided:
            return value
        copy = value.detach().clone().to(device)
        return copy.requires_grad_(grad and value.requires_grad)
    if type(value) in (tuple, list):
        return type(value)(to(device, v, grad) for v in value)
    if isinstance(value, dict):
        return {k: to(device, v, grad) for k, v in value.items()}
    if isinstance(value, torch.device):
        return torch.device(device)
    return value


def tensors(value):
    """All tensors in nested lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return tensors(list(value.values()))
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in tensors(v)]
    return []


def tolerance(*dtypes):
    """Of the coarsest of the types. A die computes float64 in float32."""
    table = {
        torch.bfloat16: (3e-2, 3e-2), torch.float16: (4e-3, 4e-3), torch.float32: (1e-4, 1e-4),
        torch.float64: (1e-4, 1e-4), torch.complex64: (1e-4, 1e-4), torch.complex128: (1e-4, 1e-4),
    }
    return next((table[d] for d in table if d in dtypes), (0, 0))


def widened(value):
    """The same in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in FLOATS else value
    if type(value) in (tuple, list):
        return type(value)(widened(v) for v in value)
    if isinstance(value, dict):
        return {k: widened(v) for k, v in value.items()}
    return torch.float64 if value in FLOATS else value


def difference(want, have, dtype):
    """Why results are not the same; None if they are."""
    if len(want) != len(have):
        return f"{len(have)} results instead of {len(want)}"
    for w, h in zip(want, have):
        w, h = (t if t.layout == torch.strided else t.to_dense() for t in (w, h))
        rtol, atol = tolerance(dtype, w.dtype)
        if dtype in HALF and w.numel():
            # Sums of terms of this size round by as much.
            size = w.float().abs().nan_to_num(0, 0, 0).mean().item()
            atol *= max(1.0, size)
        try:
            torch.testing.assert_close(
                h.to(w.dtype), w, rtol=rtol, atol=atol, equal_nan=True, check_stride=False
            )
        except AssertionError as e:
            return " ".join([line for line in str(e).split("\n") if line.strip()][:3])[:240]
    return None


def refusal(error):
    """What an exception comes to, with our own sentence if there is one."""
    text = str(error)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    ours = [line for line in lines if line.startswith("aclnn") or "EZ9999" in line]
    known = any(word in text for word in UNSUPPORTED) or WRONG_TYPE.search(text)
    return "unsupported" if known else "failed", (ours or lines or [""])[0][:240]


def deviates(op, sample):
    """Whether a card gives something else than torch for the sample."""
    return op.name in DEVIATIONS and DEVIATIONS[op.name](sample)


def main(attempt, types, wanted, seconds):
    """Counts what `attempt(op, dtype, samples)` says of operators and types that are `wanted`."""
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    everything = FULL or bool(names)
    ops = [op for op in op_db if not names or op.name in names][:: 1 if everything else STEP]
    start, counts, left = time.time(), collections.Counter(), 0
    for op in ops:
        if not everything and time.time() - start > seconds:
            left += 1
            continue
        for dtype in filter(lambda dtype: wanted(op, dtype), types):
            kind, why = attempt(op, dtype, None if everything else SAMPLES)
            counts[kind] += 1
            shown = names or os.environ.get("VINCI_TORCH_VERBOSE")
            if kind == "failed" or (kind == "unsupported" and shown):
                variant = f" ({op.variant_test_name})" if op.variant_test_name else ""
                print(f"{kind}: {op.name}{variant} {str(dtype)[6:]}: {why}", flush=True)
            if kind == "failed" and any(word in why for word in DEAD):
                print("the device has stopped; what is left is not tried")
                return finish(counts)
    print(f"operators and types: {dict(counts)}; {left} operators left out for time")
    finish(counts)


def finish(counts):
    """The line that is counted."""
    failed = counts["failed"]
    outcome = "FAILED" if failed else "ok"
    print(f"test result: {outcome}. {counts['passed']} passed; {failed} failed; {counts['unsupported']} ignored", flush=True)
    sys.exit(1 if failed else 0)
