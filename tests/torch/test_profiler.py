"""torch_npu's profiler: kernels with the times that the device stamped, beside the operators that launched them."""

import csv
import glob
import json
import tempfile
import time

import torch
from torch_npu import profiler

from common import Case, main


class Profiler(Case):
    def test_kernels_are_timed(self):
        x = torch.randn(256, 256, device="npu")

        def work():
            y = x
            for _ in range(10):
                y = torch.relu(y @ x) * 0.1
            torch.npu.synchronize()

        work()
        activities = [profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.NPU]
        with tempfile.TemporaryDirectory() as folder:
            handler = profiler.tensorboard_trace_handler(folder)
            with profiler.profile(activities=activities, on_trace_ready=handler) as profile:
                begun = time.perf_counter()
                work()
                took = (time.perf_counter() - begun) * 1e6
                profile.step()

            def output(name):
                found = glob.glob(f"{folder}/**/ASCEND_PROFILER_OUTPUT/{name}", recursive=True)
                self.assertEqual(len(found), 1, name)
                return found[0]

            with open(output("kernel_details.csv"), newline="") as file:
                kernels = list(csv.DictReader(file))
            with open(output("trace_view.json")) as file:
                trace = json.load(file)
            with open(output("operator_details.csv"), newline="") as file:
                operators = list(csv.DictReader(file))
        for kind in ("Matmul", "Relu"):
            times = [float(row["Duration(us)"]) for row in kernels if row["Type"] == kind]
            self.assertEqual(len(times), 10, kind)
            self.assertTrue(all(0 < us < took for us in times), times)
        self.assertLess(sum(float(row["Duration(us)"]) for row in kernels), took)
        # A product of 2^24 multiplications takes longer than the maximum of 2^16 numbers.
        of = lambda kind: sorted(float(row["Duration(us)"]) for row in kernels if row["Type"] == kind)[5]  # noqa: E731
        self.assertGreater(of("Matmul"), of("Relu"))
        # Each kernel is the end of an arrow from the operator that launched it.
        ends = [event for event in trace if event.get("ph") == "f" and event.get("cat") == "async_npu"]
        self.assertGreaterEqual(len(ends), 30)
        total = {row["Name"]: float(row["Device Total Duration(us)"]) for row in operators}
        self.assertGreater(total["aten::matmul"], 0)


if __name__ == "__main__":
    main()
