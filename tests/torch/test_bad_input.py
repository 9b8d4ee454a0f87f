"""What is refused: the exception, the sentence, and that everything goes on afterwards. What killed programs leave."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F

from common import Case, main


def ones(*shape, dtype=torch.float32):
    return torch.ones(*shape, dtype=dtype, device="npu")


class Refusals(Case):
    def refused(self, function, *sentences, exception=RuntimeError):
        """Raises, says why, and leaves the stream as it was, with what was submitted before."""
        before = ones(64) * 3
        with self.assertRaises(exception) as raised:
            function()
            torch.npu.synchronize()
        for sentence in sentences:
            self.assertIn(sentence, str(raised.exception))
        self.assertEqual((before + 1).sum().item(), 256.0)

    def test_shapes(self):
        self.refused(lambda: ones(2, 3) @ ones(2, 3), "aclnnMatmul", "[2, 3] and [2, 3] cannot be multiplied")
        self.refused(lambda: ones(2, 3) + ones(2, 4), "must match the size")
        self.refused(lambda: torch.bmm(ones(2, 3, 4), ones(3, 4, 5)))
        self.refused(lambda: F.conv2d(ones(1, 3, 8, 8), ones(4, 2, 3, 3)))

    def test_types(self):
        self.refused(lambda: F.gelu(ones(3, dtype=torch.int64)), "aclnnGelu", "does not fit into out of I64")
        self.refused(lambda: torch.softmax(ones(3, dtype=torch.int32), 0), "aclnnSoftmax")

    def test_devices(self):
        self.refused(lambda: ones(3) + torch.ones(3), "same device")
        self.refused(lambda: ones(3, 3) @ torch.ones(3, 3), "same device")
        if torch.npu.device_count() > 1:
            self.refused(lambda: ones(3) + torch.ones(3, device="npu:1"), "die 0 has no peer access to die 1")

    def test_freed_tensors(self):
        def freed():
            tensor = ones(4, 4)
            tensor.untyped_storage().resize_(0)
            return tensor + 1

        self.refused(freed, "data is not allocated")

    def test_with_the_queue_of_tasks(self):
        # As most programs run: operators are called by another thread, later.
        code = """
import torch, torch_npu
try:
    torch.ones(2, 3, device="npu") @ torch.ones(2, 3, device="npu")
    torch.npu.synchronize()
except RuntimeError as e:
    print("cannot be multiplied" in str(e))
print((torch.ones(3, device="npu") + 1).sum().item())
"""
        env = dict(os.environ, TASK_QUEUE_ENABLE="1")
        result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.stdout.split(), ["True", "6.0"], result.stderr)


def vinci():
    """The command of the installation, or build, whose libraries these are."""
    home = os.environ["ASCEND_HOME_PATH"]
    return next(path for path in (f"{home}/bin/vinci", f"{home}/lib64/vinci") if os.path.exists(path))


WORK = """
import torch, torch_npu
x = torch.ones(256 << 20, dtype=torch.uint8, device="npu")
y = torch.ones(256, 256, device="npu")
torch.npu.synchronize()
print("working", flush=True)
while True:
    y = torch.relu(y @ y) / 256
"""


class Killed(Case):
    def work(self, **env):
        child = subprocess.Popen([sys.executable, "-c", WORK], env=dict(os.environ, **env), stdout=subprocess.PIPE, text=True)
        self.assertEqual(child.stdout.readline().strip(), "working")
        return child

    def end(self, child):
        child.send_signal(signal.SIGKILL)
        child.wait(60)
        child.stdout.close()

    def test_nothing_is_left_of_a_process_and_its_device(self):
        places = ("/dev/shm", tempfile.gettempdir())
        before = {place: set(os.listdir(place)) for place in places}
        child = self.work()
        self.end(child)
        for place in places:
            left = {name for name in set(os.listdir(place)) - before[place] if "vinci" in name or str(child.pid) in name}
            self.assertEqual(left, set(), place)

    def test_a_served_device_has_everything_back(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        socket = os.path.join(folder, "npu.sock")
        env = {name: value for name, value in os.environ.items() if name != "VINCI_DEVICE"}
        server = subprocess.Popen([vinci(), "serve", "--socket", socket], env=env, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (server.terminate(), server.wait(60)))

        def state():
            command = [vinci(), "--device", f"unix:{socket}", "top", "--once", "--json"]
            return json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)

        while not os.path.exists(socket):
            time.sleep(0.05)
        used = lambda: sum(die["hbm_used"] for die in state()["dies"])  # noqa: E731
        before = used()
        child = self.work(VINCI_DEVICE=f"unix:{socket}")
        self.assertGreaterEqual(used() - before, 256 << 20)
        self.end(child)
        deadline = time.monotonic() + 30
        while used() != before and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(used(), before)
        self.assertNotIn(child.pid, [process["pid"] for process in state()["processes"]])


if __name__ == "__main__":
    main()
