"""torch's own database of operators: every sample of every operator, npu against cpu, with torch's tolerances.

An operator for which libopapi.so has no kernel, or which torch_npu itself does not have, is unsupported; anything else
that differs is a failure. `python test_opinfo.py NAME …` runs some; without `--full` a slice of the samples is taken.
"""

import collections
import os
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
    "Expected", "complex", "sparse", "NotImplemented", "aten::",
)
# Results are not determined, or are no values.
NOT_COMPARED = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "rand_like", "randn_like",
    "randint_like", "randint", "randn", "normal", "bernoulli", "multinomial", "nn.functional.dropout",
    "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.alpha_dropout", "uniform", "exponential",
    "cauchy", "geometric", "log_normal", "nn.functional.rrelu", "nn.functional.feature_alpha_dropout",
    "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d", "svd_lowrank", "pca_lowrank",
    "bfloat16", "resize_", "resize_as_", "nn.functional.scaled_dot_product_attention",
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


def tolerance(dtype):
    """Half types round once more on the way, so they are given what torch gives reductions of them."""
    return {
        torch.float32: (1e-4, 1e-4), torch.float16: (4e-3, 4e-3), torch.bfloat16: (3e-2, 3e-2),
    }.get(dtype, (0, 0))


def attempt(op, dtype, limit):
    """passed, unsupported or failed, with a sentence."""
    try:
        samples = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    except Exception as e:
        return "unsupported", f"no samples: {e}"
    tried = 0
    for sample in samples[:limit]:
        try:
            wanted = tensors(op(sample.input, *sample.args, **sample.kwargs))
        except Exception:
            continue
        try:
            got = tensors(op(to("npu", sample.input), *to("npu", sample.args), **to("npu", sample.kwargs)))
        except Exception as e:
            text = str(e)
            kind = "unsupported" if any(word in text for word in UNSUPPORTED) else "failed"
            return kind, text.strip().split("\n")[0][:200]
        tried += 1
        if op.name in NOT_COMPARED or "random" in op.name:
            continue
        for want, have in zip(wanted, got):
            rtol, atol = tolerance(dtype if dtype.is_floating_point else want.dtype)
            try:
                torch.testing.assert_close(
                    have, want, rtol=rtol, atol=atol, equal_nan=True, check_dtype=False, check_stride=False
                )
            except AssertionError as e:
                lines = [line for line in str(e).split("\n") if line.strip()]
                return "failed", " ".join(lines[:3])[:240]
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
