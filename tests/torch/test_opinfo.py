"""torch's own database of operators: every sample of every operator, npu against cpu, with torch's tolerances.

An operator for which libopapi.so has no kernel, or which torch_npu itself does not have, is unsupported; anything else
that differs is a failure. `python test_opinfo.py NAME …` runs some; without `--full` a slice of the samples is taken.
"""

import collections
import os
import re
import sys
import time

import torch

from common import FULL

from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402

TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
# Samples of an operator and a type, and seconds for all, without --full.
SAMPLES, SECONDS = 3, 240

# What a card does not have either: torch_npu says so, or the operator is not there.
UNSUPPORTED = (
    "200006", "not currently supported", "not in libopapi", "not implemented for", "Could not run", "not support",
    "unsupported", "Unsupported", "expected", "fall back", "ACL_ERROR_FEATURE_UNSUPPORTED", "aclDataType",
    "Expected", "complex", "sparse", "NotImplemented", "aten::", "floats are needed", "a float is needed",
    "only support", "does not fit into out",
)
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
# torch_npu calls something else than torch; a card differs in the same way.
DEVIATIONS = {
    "nn.functional.interpolate": "the scale is not passed on",
    "nn.functional.upsample_nearest": "the scale is not passed on",
    "native_dropout_backward": "the mask is bits",
    "nn.functional.gelu": "approximate='tanh' calls aclnnGelu",
}


def to(device, value):
    if isinstance(value, torch.Tensor):
        return value.detach().clone().to(device) if value.layout == torch.strided else value
    if isinstance(value, (tuple, list)):
        return type(value)(to(device, v) for v in value) if type(value) in (tuple, list) else value
    if isinstance(value, dict):
        return {k: to(device, v) for k, v in value.items()}
    if isinstance(value, torch.device):
        return torch.device(device)
    return value


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu()]
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in tensors(v)]
    return []


HALF = (torch.float16, torch.bfloat16)


def tolerance(*dtypes):
    """Of the coarsest of the types. A die computes float64 in float32."""
    table = {
        torch.bfloat16: (3e-2, 3e-2), torch.float16: (4e-3, 4e-3), torch.float32: (1e-4, 1e-4),
        torch.float64: (1e-4, 1e-4),
    }
    return next((table[d] for d in table if d in dtypes), (0, 0))


def widened(value):
    """The same in float32."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in HALF else value
    if type(value) in (tuple, list):
        return type(value)(widened(v) for v in value)
    if isinstance(value, dict):
        return {k: widened(v) for k, v in value.items()}
    return torch.float32 if value in HALF else value


def difference(want, have, dtype):
    """Why results are not the same; None if they are."""
    for w, h in zip(want, have):
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


def sentence(error):
    """Our own, if there is one."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    ours = [line for line in lines if line.startswith("aclnn") or "EZ9999" in line]
    return (ours or lines or [""])[0][:240]


def attempt(op, dtype, limit):
    """passed, unsupported or failed, with a sentence."""
    try:
        samples = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    except Exception as e:
        return "unsupported", f"no samples: {e}"
    tried = 0
    for sample in samples[:limit]:
        arguments = sample.input, sample.args, sample.kwargs
        try:
            x, args, kwargs = to("cpu", arguments)
            wanted = tensors(op(x, *args, **kwargs))
        except Exception:
            continue
        try:
            x, args, kwargs = to("npu", arguments)
            got = tensors(op(x, *args, **kwargs))
        except Exception as e:
            text = str(e)
            known = any(word in text for word in UNSUPPORTED) or WRONG_TYPE.search(text)
            return "unsupported" if known else "failed", sentence(e)
        tried += 1
        if op.name in NOT_COMPARED or "random" in op.name:
            continue
        if op.name in FIRST_ONLY:
            wanted, got = wanted[:1], got[:1]
        why = difference(wanted, got, dtype)
        if why and dtype in HALF:
            # The cpu itself may round on the way; what float32 gives is as right.
            try:
                x, args, kwargs = widened(to("cpu", arguments))
                exact = [t.to(w.dtype) for t, w in zip(tensors(op(x, *args, **kwargs)), wanted)]
                why = why and difference(exact, got, dtype)
            except Exception:
                pass
        if why:
            return ("unsupported", DEVIATIONS[op.name]) if op.name in DEVIATIONS else ("failed", why)
    return ("passed", "") if tried else ("unsupported", "no sample runs on the cpu")


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    ops = [op for op in op_db if not names or op.name in names]
    limit = 10_000 if FULL or names else SAMPLES
    start, counts, left = time.time(), collections.Counter(), 0
    step = 1 if FULL or names else 5
    for op in ops[::step]:
        if not (FULL or names) and time.time() - start > SECONDS:
            left += 1
            continue
        for dtype in TYPES:
            if dtype not in op.dtypes:
                continue
            kind, why = attempt(op, dtype, limit)
            counts[kind] += 1
            if kind == "failed" or (kind == "unsupported" and (names or os.environ.get("VINCI_TORCH_VERBOSE"))):
                print(f"{kind}: {op.name} {str(dtype)[6:]}: {why}", flush=True)
    print(f"operators and types: {dict(counts)}; {left} operators left out for time")
    failed = counts["failed"]
    outcome = "FAILED" if failed else "ok"
    print(f"test result: {outcome}. {counts['passed']} passed; {failed} failed; {counts['unsupported']} ignored", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
