"""Streams, events, the allocator, several dies, mixed precision, files, processes."""

import ctypes
import io
import os
import subprocess
import sys

import torch
import torch.nn as nn

from common import FULL, Case, main


def child(code, **env):
    """Runs Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ, **env), capture_output=True, text=True, timeout=300
    )


class Streams(Case):
    def test_streams_and_events(self):
        side = torch.npu.Stream()
        start, end = (torch.npu.Event(enable_timing=True) for _ in range(2))
        x = torch.ones(512, 512, device="npu")
        with torch.npu.stream(side):
            side.wait_stream(torch.npu.default_stream())
            start.record()
            y = x @ x
            end.record()
        torch.npu.current_stream().wait_event(end)
        z = y + 1
        end.synchronize()
        self.assertTrue(end.query() and start.elapsed_time(end) >= 0)
        self.assertEqual(z.cpu().unique().tolist(), [513.0])

    def test_pinned_copies(self):
        host = torch.randn(1 << 16).pin_memory()
        there = host.to("npu", non_blocking=True)
        back = torch.empty_like(host, pin_memory=True)
        back.copy_(there, non_blocking=True)
        torch.npu.synchronize()
        self.assertTrue(torch.equal(back, host))


class Memory(Case):
    def test_what_is_allocated(self):
        torch.npu.empty_cache()
        before = torch.npu.memory_allocated()
        x = torch.empty(8 << 20, dtype=torch.uint8, device="npu")
        self.assertGreaterEqual(torch.npu.memory_allocated() - before, 8 << 20)
        self.assertGreaterEqual(torch.npu.memory_reserved(), torch.npu.memory_allocated())
        del x
        self.assertEqual(torch.npu.memory_allocated(), before)
        torch.npu.empty_cache()

    def test_out_of_memory_is_survived(self):
        with self.assertRaises(torch.OutOfMemoryError):
            torch.empty(1 << 40, dtype=torch.uint8, device="npu")
        self.assertEqual((torch.ones(3, device="npu") + 1).cpu().tolist(), [2.0] * 3)

    def test_expandable_segments(self):
        code = """
import torch, torch_npu
x = [torch.full((n << 20,), 1.0, device="npu") for n in (1, 3, 2)]
del x[1]
y = torch.full((5 << 20,), 2.0, device="npu")
assert y.sum().item() == 2 * (5 << 20) and x[0].sum().item() == 1 << 20
torch.npu.empty_cache()
print("done")
"""
        result = child(code, PYTORCH_NPU_ALLOC_CONF="expandable_segments:True")
        self.assertIn("done", result.stdout, result.stderr)


class Dies(Case):
    def test_copies_between_dies(self):
        if torch.npu.device_count() < 2:
            self.skipTest("the chip has one die")
        x = torch.arange(1000.0, device="npu:0")
        y = x.to("npu:1") * 2
        self.assertEqual(y.device.index, 1)
        self.assertTrue(torch.equal(y.to("npu:0").cpu(), torch.arange(1000.0) * 2))


class Precision(Case):
    def test_autocast(self):
        layer = nn.Linear(16, 16).npu()
        with torch.autocast("npu", dtype=torch.bfloat16):
            y = layer(torch.randn(4, 16, device="npu"))
        self.assertEqual(y.dtype, torch.bfloat16)
        y.float().sum().backward()
        self.assertEqual(layer.weight.grad.dtype, torch.float32)

    def test_scaler(self):
        layer = nn.Linear(8, 1).npu()
        optimiser = torch.optim.SGD(layer.parameters(), 0.1)
        scaler = torch.npu.amp.GradScaler(init_scale=4.0, growth_interval=2)
        for step in range(4):
            optimiser.zero_grad()
            loss = layer(torch.ones(2, 8, device="npu")).sum() * (float("inf") if step == 3 else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
        self.assertEqual(scaler.get_scale(), 4.0)


class Files(Case):
    def test_save_and_load(self):
        layer = nn.Linear(4, 3).npu()
        file = io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        state = torch.load(file, map_location="npu")
        self.assertEqual(state["weight"].device.type, "npu")
        self.assertTrue(torch.equal(state["weight"].cpu(), layer.weight.detach().cpu()))


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, i):
        return torch.full((4,), float(i))


class Processes(Case):
    def test_loader_with_workers(self):
        torch.ones(1, device="npu")
        loader = torch.utils.data.DataLoader(Numbers(), batch_size=8, num_workers=2)
        total = sum(batch.to("npu").sum().item() for batch in loader)
        self.assertEqual(total, 4 * sum(range(32)))

    def test_a_forked_child_is_told(self):
        code = """
import os, torch, torch_npu
torch.ones(1, device="npu").cpu()
pid = os.fork()
if pid == 0:
    try:
        torch.ones(1, device="npu").cpu()
    except RuntimeError as e:
        os._exit(7 if "fork" in str(e).lower() else 8)
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
        result = child(code)
        self.assertEqual(result.returncode, 7, result.stderr)

    def test_an_interrupt_ends_a_program(self):
        code = """
import os, signal, threading, torch, torch_npu
# What a shell starts in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(2.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
x = torch.ones(64, 64, device="npu")
try:
    while True:
        x = x @ x / 64
except KeyboardInterrupt:
    print("interrupted")
"""
        result = child(code)
        self.assertEqual((result.returncode, result.stdout.strip()), (0, "interrupted"), result.stderr)


class Leaks(Case):
    def test_steps_leave_nothing(self):
        model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).npu()
        optimiser = torch.optim.Adam(model.parameters())
        x, y = torch.randn(8, 16, device="npu"), torch.randint(0, 4, (8,), device="npu")
        side = torch.npu.Stream()
        acl = ctypes.CDLL("libascendcl.so")

        def steps(n):
            for _ in range(n):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimiser.step()
                with torch.npu.stream(side):
                    side.wait_stream(torch.npu.default_stream())
                    (x + 1).record_stream(side)
                torch.npu.current_stream().wait_event(side.record_event())
            torch.npu.synchronize()

        def places(name):
            """The highest place in the table of handles, if some more are made than are free between others."""
            handles = [ctypes.c_uint64() for _ in range(100)]
            for handle in handles:
                self.assertEqual(getattr(acl, f"aclrtCreate{name}")(ctypes.byref(handle)), 0)
            for handle in handles:
                self.assertEqual(getattr(acl, f"aclrtDestroy{name}")(handle), 0)
            return max(handle.value & 0xFFFFFF for handle in handles)

        def used():
            with open("/proc/self/statm") as f:
                resident = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            tasks, files = (len(os.listdir(f"/proc/self/{name}")) for name in ("task", "fd"))
            device = torch.npu.memory_allocated(), torch.npu.memory_reserved()
            return {"resident": resident, "handles": places("Event") + places("Stream")}, (*device, tasks, files)

        steps(200)
        before, kept = used()
        steps(10_000 if FULL else 400)
        after, still = used()
        print(f"{self.id()}: {before} before, {after} after")
        self.assertEqual(still, kept)
        self.assertLess(after["resident"] - before["resident"], 8 << 20)
        self.assertLess(after["handles"] - before["handles"], 50)


class Refusals(Case):
    def test_a_fault_names_the_kernel_and_the_value(self):
        code = """
import torch, torch_npu
try:
    torch.nn.functional.embedding(torch.tensor([12], device="npu"), torch.randn(10, 5).npu()).cpu()
except RuntimeError as e:
    print("raised", e)
"""
        result = child(code)
        self.assertIn("raised", result.stdout)
        self.assertIn("index out of range: 12", result.stdout + result.stderr)


if __name__ == "__main__":
    main()
