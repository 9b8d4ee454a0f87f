"""Compares records of operators (`vinci run --record FOLDER`) with what torch's CPU computes for them.

    python records.py FOLDER ...     a table of the records in these folders; fails where one differs
    python records.py --serve        a folder a line on stdin; on stdout a line for each of its records (verdict, operator,
                                     file and sentence between tabs) and an empty one
"""

import collections
import glob
import json
import os
import sys
import traceback
import warnings

warnings.filterwarnings("ignore")
# Nothing here needs torch_npu, which torch loads by itself.
os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402

import counterparts  # noqa: E402
from counterparts.matrix import Properties  # noqa: E402
from counterparts.reduction import Place  # noqa: E402

# Relative to the element and to a quarter of the largest.
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 3e-3, torch.bfloat16: 2e-2}
TYPES = {str(kind).removeprefix("torch."): kind for kind in (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint64, torch.uint32, torch.uint16, torch.uint8, torch.bool)}
# Types whose numbers were rounded: one step is no difference.
ROUNDED = (torch.int8, torch.uint8)


class Record:
    """A file: `operator`, `status`, `outputs` by name, and the arguments as attributes and by position."""

    def __init__(self, path):
        self.path = path
        with safe_open(path, "pt") as file:
            about = file.metadata()
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
        self.operator, self.status = about["operator"], int(about["status"])
        self.described = json.loads(about["arguments"])
        inputs, self.outputs = self.sorted(tensors, "in."), self.sorted(tensors, "out.")
        self.raw, self.positional, self.unread = inputs, [], []
        for name, value in self.described.items():
            about = value[0] if is_list(value) and value else value
            written = is_tensor(about) and about["role"] == "written"
            if is_tensor(about) and not written and name not in inputs:
                self.unread.append(name)
            value = inputs.get(name) if is_tensor(about) else plain(value)
            value = exact(value)
            setattr(self, name, value)
            if name.endswith("Ref") and not hasattr(self, name.removesuffix("Ref")):
                setattr(self, name.removesuffix("Ref"), value)
            if not written:
                self.positional.append(value)

    def sorted(self, tensors, when):
        """By argument in the order of the declaration; lists as lists."""
        found = {}
        for name, value in self.described.items():
            if when + name in tensors:
                found[name] = tensors[when + name]
            elif is_list(value):
                parts = [tensors.get(f"{when}{name}.{n}") for n in range(len(value))]
                if parts and all(part is not None for part in parts):
                    found[name] = parts
        return found


def is_tensor(value):
    return isinstance(value, dict) and "tensor" in value


def is_list(value):
    return isinstance(value, list) and all(is_tensor(v) for v in value)


def exact(value):
    """Floats as float64."""
    if isinstance(value, list):
        return [exact(v) for v in value]
    return value.to(torch.float64) if torch.is_tensor(value) and value.is_floating_point() else value


def plain(value):
    """Numbers of JSON, whose infinities are texts; scalars; types."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return plain(value["value"]) if "scalar" in value else None
    if isinstance(value, str):
        return float(value) if value in ("inf", "-inf", "NaN") else TYPES.get(value, value)
    return value


def differs(found, expected, looser, floor):
    """None, or how far a tensor is from what it should be."""
    if isinstance(expected, Place):
        return expected.difference(found)
    if isinstance(expected, counterparts.Start):
        expected = expected.elements
        found = found.reshape(-1)[: expected.numel()]
    expected = torch.as_tensor(expected)
    if found.numel() != expected.numel():
        return f"{list(found.shape)} instead of {list(expected.shape)}"
    if found.numel() == 0:
        return None
    expected = expected.reshape(found.shape)
    if expected.is_complex():
        expected = expected.real
    if found.dtype in (torch.uint16, torch.uint32, torch.uint64):
        # torch does little with these.
        found, expected = found.to(torch.int64), expected.to(torch.int64)
    if found.dtype not in TOLERANCE:
        # What an integer is of no number or of an infinity is nobody's promise.
        defined = torch.isfinite(expected)
        found, expected = found[defined], expected[defined]
        rounded = found.dtype in ROUNDED and expected.is_floating_point()
        expected = expected.round() if rounded else expected
        x, y = found.to(torch.float64), expected.to(found.dtype).to(torch.float64)
        most = (x - y).abs().max().item() if x.numel() else 0
        return None if most <= (1 if rounded else 0) else f"by {most:g}"
    x, y = found.to(torch.float64), expected.to(found.dtype).to(torch.float64)
    finite = torch.isfinite(y)
    if not torch.equal(torch.isnan(x), torch.isnan(y)):
        return f"{torch.isnan(x).sum()} NaNs instead of {torch.isnan(y).sum()}"
    special = ~finite & ~torch.isnan(y)
    if not torch.equal(x[special], y[special]) or not torch.isfinite(x[finite]).all():
        return "other infinities"
    if not finite.any():
        return None
    x, y = x[finite], y[finite]
    tolerance = TOLERANCE[found.dtype] * looser
    allowed = tolerance * (y.abs() + y.abs().max() / 4) + floor
    off = (x - y).abs()
    if (off <= allowed).all():
        return None
    at = (off - allowed).argmax()
    return f"by {off.max().item():.3g} of at most {y.abs().max().item():.3g}; {x[at].item():g} instead of {y[at].item():g}"


def pairs(record, expected):
    """(name, found, expected) of what is compared."""
    if isinstance(expected, Properties):
        return [(f"property {n}", found, right) for n, (found, right) in enumerate(expected.pairs)]
    outputs = record.outputs
    if not isinstance(expected, dict):
        several = expected if isinstance(expected, tuple) else (expected,)
        if len(several) != len(outputs):
            raise ValueError(f"{len(several)} results for the outputs {', '.join(outputs)}")
        expected = dict(zip(outputs, several))
    found = []
    for name, value in expected.items():
        if value is None or name not in outputs:
            continue
        if isinstance(outputs[name], list):
            found += [(f"{name}.{n}", x, y) for n, (x, y) in enumerate(zip(outputs[name], value)) if y is not None]
        else:
            found.append((name, outputs[name], value))
    return found


def judge(record):
    """One of equal, different, random, without, refused; and a sentence."""
    name = record.operator.removeprefix("aclnn")
    if record.status != 0:
        return "refused", f"status {record.status}"
    if record.unread:
        return "without", f"not recorded: {', '.join(record.unread)}"
    try:
        if name in counterparts.RANDOM:
            counterparts.RANDOM[name](record)
            return "random", ""
        counterpart = counterparts.find(record.operator)
        expected = None if counterpart is None else counterpart(record)
        if expected is None:
            return "without", ""
        if not record.outputs:
            return ("equal", "") if any(0 in v["shape"] for v in record.described.values() if is_tensor(v)) else ("without", "")
        compared = pairs(record, expected)
        if not compared:
            return "without", ""
        largest = max((x.abs().max().item() for x in record.positional if torch.is_tensor(x) and x.numel() and x.is_floating_point()), default=0)
        floor = 1e-6 * largest if name in counterparts.CANCELLING else 0
        for output, found, right in compared:
            what = differs(found, right, counterparts.LOOSER.get(name, 1), floor)
            if what:
                return "different", f"{output} {what}"
        return "equal", ""
    except AssertionError as error:
        return "different", str(error)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "different", f"torch: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} ({os.path.basename(place.filename)}:{place.lineno})"


def compare(folder):
    """Verdicts of a folder: (verdict, operator, file, sentence)."""
    verdicts = []
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        record = Record(path)
        verdict, sentence = judge(record)
        verdicts.append((verdict, record.operator, os.path.basename(path), sentence))
    return verdicts


def serve():
    for line in sys.stdin:
        for verdict in compare(line.rstrip("\n")):
            print("\t".join(" ".join(field.split()) for field in verdict))
        print(flush=True)


def main(folders):
    verdicts = [verdict for folder in folders for verdict in compare(folder)]
    count = collections.Counter(verdict for verdict, *_ in verdicts)
    for _, operator, file, sentence in filter(lambda v: v[0] == "different", verdicts):
        print(f"different: {operator} ({file}): {sentence}")
    names = sorted({operator for verdict, operator, *_ in verdicts if verdict == "without"})
    print(f"compared      {count['equal'] + count['different']:6}")
    print(f"  equal       {count['equal']:6}")
    print(f"  different   {count['different']:6}")
    print(f"random        {count['random']:6}   (by their range only)")
    print(f"refused       {count['refused']:6}")
    print(f"not compared  {count['without']:6}   (no counterpart: {' '.join(names) or 'none'})")
    return 1 if count["different"] else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--serve"]:
        serve()
    elif len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    else:
        sys.exit(main(sys.argv[1:]))
