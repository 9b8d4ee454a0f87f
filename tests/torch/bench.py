"""How long the npu takes beside the cpu, in one process, two threads each. `python bench.py`, under `vinci run`."""

import os
import sys
import time

os.environ["TASK_QUEUE_ENABLE"] = "1"

import torch
import torch.nn.functional as F

import common  # noqa: F401  (imports torch_npu)
from test_programs import Gpt, text

torch.set_num_threads(2)
# Turns of each side, and runs of a turn.
TURNS, RUNS = 5, 5


def wall(function):
    """Seconds until everything is done."""
    start = time.perf_counter()
    function()
    torch.npu.synchronize()
    return time.perf_counter() - start


def thread(function):
    """Seconds that this thread had a core for until everything is submitted."""
    start = time.thread_time()
    function()
    return time.thread_time() - start


def turn(function, runs, clock):
    """Seconds of each run. The first is not counted: threads that slept, caches that the other side filled."""
    times = []
    for _ in range(runs + 1):
        torch.npu.synchronize()
        times.append(clock(function))
    return times[1:]


def median(values):
    return sorted(values)[len(values) // 2]


def row(name, make, clock=wall):
    """A computation on both, turn by turn; medians of all runs, and the least."""
    functions = {device: make(device) for device in ("cpu", "npu")}
    times = {device: [] for device in functions}
    for _ in range(TURNS):
        for device, function in functions.items():
            times[device] += turn(function, RUNS, clock)
    (cpu, npu), (least_cpu, least_npu) = ([f(t) for t in times.values()] for f in (median, min))
    print(
        f"{name:32} cpu {cpu * 1e3:9.3f} ms   npu {npu * 1e3:9.3f} ms   npu/cpu {npu / cpu:5.2f}"
        f"   of the least {least_npu / least_cpu:5.2f}",
        flush=True,
    )


def gpt(device):
    data, characters = text()
    torch.manual_seed(0)
    model = Gpt(characters).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    at = range(0, 16 * 64, 64)
    x, y = (torch.stack([data[i + k : i + k + 64] for i in at]).to(device) for k in (0, 1))

    def step():
        loss = F.cross_entropy(model(x).reshape(-1, characters), y.reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def chain(device):
    x = torch.ones(16, device=device)

    def adds():
        y = x
        for _ in range(1000):
            y = y + 1

    return adds


def product(dtype):
    def make(device):
        a, b = (torch.randn(2048, 2048, device=device).to(dtype) for _ in range(2))
        return lambda: a @ b

    return make


def attention(device):
    q, k, v = (torch.randn(4, 8, 1024, 64, device=device) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v)


def rows_of(function):
    def make(device):
        x = torch.randn(4096, 4096, device=device)
        return lambda: function(x)

    return make



ROWS = {
    "gpt": ("GPT step, 4 x 128, batch 16", gpt),
    "chain": ("1000 adds of 16 elements", chain),
    "thread": ("1000 adds, cpu time of the thread", chain, thread),
    "f32": ("product 2048, float32", product(torch.float32)),
    "bf16": ("product 2048, bfloat16", product(torch.bfloat16)),
    "attention": ("attention 4 x 8 x 1024 x 64", attention),
    "norm": ("layer norm 4096 x 4096", rows_of(lambda x: F.layer_norm(x, (4096,)))),
    "softmax": ("softmax 4096 x 4096", rows_of(lambda x: x.softmax(1))),
}


def main():
    for name in sys.argv[1:] or ROWS:
        row(*ROWS[name])


main()
