"""torch.npu.NPUGraph: capture, replay, new inputs."""

import time

import torch
import torch.nn as nn

from common import Case, main


class Graphs(Case):
    def capture(self, function):
        side = torch.npu.Stream()
        side.wait_stream(torch.npu.current_stream())
        with torch.npu.stream(side):
            function()
        torch.npu.current_stream().wait_stream(side)
        graph = torch.npu.NPUGraph()
        with torch.npu.graph(graph):
            result = function()
        return graph, result

    def test_replay_reads_new_inputs(self):
        x = torch.ones(8, 8, device="npu")
        graph, y = self.capture(lambda: (x @ x + 1).relu())
        for value in (2.0, -3.0):
            x.fill_(value)
            graph.replay()
            torch.npu.synchronize()
            self.assertEqual(y.cpu()[0, 0].item(), max(0.0, 8 * value * value + 1))

    def test_a_model(self):
        model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 4)).npu().eval()
        x = torch.randn(4, 16, device="npu")
        with torch.no_grad():
            graph, y = self.capture(lambda: model(x))
            x.copy_(torch.randn(4, 16))
            graph.replay()
            torch.testing.assert_close(y.cpu(), model(x).cpu(), rtol=1e-5, atol=1e-5)

    def test_replay_is_cheaper(self):
        x = torch.ones(64, device="npu")

        def chain():
            y = x
            for _ in range(200):
                y = y + 1
            return y

        graph, y = self.capture(chain)

        def seconds(f):
            """What the thread that submits computes: other work on the machine does not count."""
            times = []
            for _ in range(20):
                torch.npu.synchronize()
                start = time.thread_time()
                f()
                times.append(time.thread_time() - start)
            torch.npu.synchronize()
            return min(times)

        eager, replay = seconds(chain), seconds(graph.replay)
        print(f"200 adds: {eager / 200 * 1e6:.2f} µs each submitted, {replay / 200 * 1e6:.2f} µs each replayed")
        self.assertEqual(y.cpu()[0].item(), 201.0)
        self.assertLess(replay * 5, eager)


if __name__ == "__main__":
    main()
