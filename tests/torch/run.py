"""Runs the tests of torch_npu, each file in a process of its own. `--full` adds what is long."""

import os
import subprocess
import sys
import tempfile

FILES = [
    "test_steps.py", "test_programs.py", "test_transformers.py", "test_runtime.py", "test_graph.py", "test_bad_input.py",
    "test_profiler.py", "test_records.py", "test_by_name.py", "test_complex.py", "test_opinfo.py", "test_gradients.py",
]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or FILES
    full = "1" if "--full" in sys.argv else "0"
    env = dict(os.environ, VINCI_TORCH_FULL=full, PYTHONPATH=here, PYTHONDONTWRITEBYTECODE="1")
    limit = 4 * 3600 if "--full" in sys.argv else 900
    failed = False
    for name in names:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-X", "faulthandler", os.path.join(here, name)]
        try:
            # torch_npu leaves files where it runs.
            with tempfile.TemporaryDirectory() as folder:
                failed |= subprocess.run(command, env=env, timeout=limit, cwd=folder).returncode != 0
        except subprocess.TimeoutExpired:
            print(f"{name} took more than {limit} s")
            print("test result: FAILED. 0 passed; 1 failed; 0 ignored", flush=True)
            failed = True
    sys.exit(1 if failed else 0)


main()
