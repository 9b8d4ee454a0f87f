"""Records of operators and what torch's CPU makes of them: equal as recorded, different once touched."""

import glob
import os
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from common import ROOT, Case, main

import records

PROGRAM = """
import torch, torch_npu
torch.manual_seed(0)
x = torch.randn(4, 6, device="npu")
y = (x.half() @ x.half().T).softmax(-1).float() + x.sum(1)
x.mul_(2)
torch.nonzero(x > 0)
torch.nn.functional.layer_norm(x, (6,))
values, places = y.topk(2)
torch.npu.synchronize()
"""


class Records(Case):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = os.path.join(cls.place.name, "ops")
        env = dict(os.environ, VINCI_RECORD=cls.folder)
        subprocess.run([sys.executable, "-c", PROGRAM], env=env, check=True, timeout=300)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def test_they_are_equal(self):
        verdicts = records.compare(self.folder)
        self.assertEqual([v for v in verdicts if v[0] not in ("equal", "random")], [])
        names = {operator for _, operator, _, _ in verdicts}
        self.assertLessEqual({"aclnnSoftmax", "aclnnReduceSum", "aclnnNonzero", "aclnnLayerNorm", "aclnnTopk"}, names)

    def test_each_is_different_once_touched(self):
        for path in glob.glob(os.path.join(self.folder, "*.safetensors")):
            if records.judge(records.Record(path))[0] != "equal":
                continue
            with safe_open(path, "pt") as file:
                about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
            touched = next((n for n, t in tensors.items() if n.startswith("out.") and t.numel()), None)
            if touched is None:
                continue
            t = tensors[touched].reshape(-1)
            t[0] = ~t[0] if t.dtype == torch.bool else t[0] + 3 + t[0].abs()
            with tempfile.TemporaryDirectory() as folder:
                copy = os.path.join(folder, os.path.basename(path))
                save_file({name: t.contiguous() for name, t in tensors.items()}, copy, about)
                self.assertEqual(records.judge(records.Record(copy))[0], "different", path)

    def test_the_table_and_the_server(self):
        script = os.path.join(ROOT, "tests/torch/records.py")
        run = subprocess.run([sys.executable, script, self.folder], capture_output=True, text=True, timeout=300)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"different +0\n")
        lines = f"{self.folder}\n{self.place.name}\n"
        run = subprocess.run([sys.executable, script, "--serve"], input=lines, capture_output=True, text=True, timeout=300)
        # A line for each record, an empty one after each folder.
        lines = run.stdout.split("\n")
        count = len(glob.glob(os.path.join(self.folder, "*.safetensors")))
        self.assertEqual([len(line.split("\t")) for line in lines], [4] * count + [1] * 3)
        self.assertEqual(lines[count:], ["", "", ""])


if __name__ == "__main__":
    main()
