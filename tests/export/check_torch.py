#!/usr/bin/env python3
"""Runs exported modules under PyTorch and compares their logits with musaic's.

usage: check_torch.py FOLDER [--musaic build/musaic --gguf FILE]

FOLDER is what make_modules.py wrote. With --musaic and --gguf the dequantized weights of smollm2 are written first, if
FOLDER/smollm2/weights.safetensors is not there; without them smollm2 is left out. Ends with exit code 1 when a check
fails. Runs on the CPU, and on the first CUDA device where there is one.
"""
import argparse
import importlib.util
import itertools
import json
import pathlib
import subprocess
import sys

import torch
import torch._dynamo

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
TOLERANCE = 1e-4  # of logits, relative to the largest: float32 sums in another order
# In FP8 a value near the middle of two goes to either side by the last bit of a sum, and each flip makes others: long
# prompts follow, short ones agree.
FLIPPED_TOLERANCE = 0.2
FP8_EXACT_TOKENS = 8
SAME = 1e-6  # of two runs of the same functions

failures = []
numbers = itertools.count()


def report(what, passed, detail=""):
    print(f"{'ok  ' if passed else 'FAIL'} {what}{': ' + detail if detail else ''}", flush=True)
    if not passed:
        failures.append(what)


def import_module(path):
    """A new module object for every call; torch.compile looks modules up by name."""
    spec = importlib.util.spec_from_file_location(f"exported_{next(numbers)}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def difference(got, expected):
    expected = expected.to(torch.float64)
    return ((got.detach().cpu().to(torch.float64) - expected).abs().max() / expected.abs().max()).item()


def inputs_of(ids, device):
    return torch.tensor(ids, device=device), torch.arange(len(ids), device=device)


class Model:
    def __init__(self, folder, weights, golden=None):
        self.name = folder.name
        self.folder = folder
        self.weights = weights
        cases = json.loads((folder / "prompts.json").read_text())
        self.prompts, self.pieces, self.golden = cases["prompts"], cases["pieces"], golden

    def load(self, name, device="cpu"):
        return import_module(self.folder / f"{name}.py").load(self.weights, device=device).eval()

    def expected(self, number):
        module = import_module(self.folder / "whole.py")
        return module.read_safetensors(self.folder / f"logits_{number}.safetensors")["logits"]

    def is_exact(self, ids):
        return not self.name.endswith("_fp8") or len(ids) <= FP8_EXACT_TOKENS

    def report_differences(self, what, differences):
        """differences: of each prompt, in order."""
        exact = [d for d, ids in zip(differences, self.prompts) if self.is_exact(ids)]
        others = [d for d, ids in zip(differences, self.prompts) if not self.is_exact(ids)]
        detail = f"{len(exact)} prompts, largest relative difference {max(exact):.1e}"
        if others:
            detail += f"; of {len(others)} longer ones in FP8 {max(others):.1e}"
        report(f"{self.name} {what}", max(exact) <= TOLERANCE and max(others, default=0) <= FLIPPED_TOLERANCE, detail)

    def compare(self, graph, device, what):
        with torch.no_grad():
            self.report_differences(what, [difference(graph(*inputs_of(ids, device)), self.expected(number))
                                           for number, ids in enumerate(self.prompts)])

    def check(self, devices):
        for device in devices:
            whole = self.load("whole", device)
            self.compare(whole, device, f"after all passes, on {device}, against musaic's float32 logits")
            self.compare(self.load("traced", device), device, f"as traced, on {device}, against the same")
            self.check_compile(whole, device)
            self.check_pieces(whole, device)
        self.compare(self.load("musa", "cpu"), "cpu", "written for musa:0, loaded on cpu")
        self.check_golden()
        self.show_integer_path()

    def check_compile(self, whole, device):
        torch._dynamo.reset()
        compiled = torch.compile(whole, fullgraph=True, backend="eager")
        inputs = inputs_of(self.prompts[-1], device)
        with torch.no_grad():
            worst = difference(compiled(*inputs), whole(*inputs).cpu())
        report(f"{self.name} torch.compile(fullgraph=True, backend='eager') on {device}", worst <= SAME, f"{worst:.1e}")

    def check_pieces(self, whole, device):
        ids, positions = inputs_of(self.prompts[-1], device)
        values = {"input_ids": ids, "positions": positions, "row_index": torch.arange(len(ids), device=device)}
        with torch.no_grad():
            for name in [f"piece_{i}" for i in range(self.pieces)] + ["head"]:
                module = import_module(self.folder / f"{name}.py")
                results = module.load(self.weights, device=device)(*(values[key] for key in module.INPUTS))
                values.update(zip(module.OUTPUTS, results if isinstance(results, tuple) else (results,)))
            worst = difference(values["logits"], whole(ids, positions).cpu())
        report(f"{self.name} {self.pieces} pieces and the head chained equal the whole, on {device}", worst <= SAME,
               f"{worst:.1e}")

    def check_golden(self):
        if self.golden is None:
            return
        whole = self.load("whole")
        with torch.no_grad():
            self.report_differences("against the golden logits", [
                difference(whole(*inputs_of(case["input_ids"], "cpu"))[-1], torch.tensor(case["last_logits"]))
                for case in self.golden])

    def show_integer_path(self):
        auto = self.load("auto")
        with torch.no_grad():
            worst = max(difference(auto(*inputs_of(ids, "cpu")), self.expected(number))
                        for number, ids in enumerate(self.prompts))
        print(f"     {self.name} exported with --dtype auto differs from float32 by {worst:.1e}: the activations' rounding")


def op_arguments():
    """By the model whose module defines the op."""
    x, residual, weight = torch.randn(5, 64), torch.randn(5, 64), torch.rand(64) + 0.5
    # PyTorch's check of a schema compares what was written, which it cannot do for 8-bit floats on a CPU.
    rows, q, scales = torch.randn(5, 200), torch.zeros(5, 200, dtype=torch.int8), torch.zeros(5, 2)
    return {"llama": {"aten::_fused_swiglu_forward": (x,),
                      "sgl_kernel::fused_add_rmsnorm": (x, residual, weight, 1e-6)},
            "deepseek_v2_fp8": {"sgl_kernel::sgl_per_token_group_quant_8bit_v2":
                                (rows, q, scales, 128, 1e-10, -128.0, 127.0, False, False, None)}}


def check_fakes(folder, ops):
    """PyTorch's own check of schema and fake kernel for every op that the module defines."""
    import_module(folder / "whole.py")
    for name, arguments in ops.items():
        namespace, op = name.split("::")
        overload = getattr(getattr(torch.ops, namespace), op).default
        results = torch.library.opcheck(overload, arguments, test_utils=("test_schema", "test_faketensor"),
                                        raise_exception=False)
        report(f"opcheck {name}", all(result == "SUCCESS" for result in results.values()), str(results))


def subprocess_check(what, folder, weights, mode):
    """In a process of its own: operators and version attributes stay defined."""
    command = [sys.executable, __file__, str(folder), "--mode", mode, "--weights", str(weights)]
    result = subprocess.run(command, text=True, capture_output=True)
    report(what, result.returncode == 0, (result.stderr.strip().splitlines() or ["no message"])[-1] if result.returncode else "")


def run_twice(folder, weights, musa_version):
    if musa_version is not None:
        torch.version.musa = musa_version
    elif hasattr(torch.version, "musa"):
        del torch.version.musa
    inputs = inputs_of([1, 2, 3], "cpu")
    with torch.no_grad():
        results = [import_module(folder / f"{name}.py").load(weights, device="cpu")(*inputs)
                   for name in ("musa", "musa", "whole", "whole")]
    assert all(torch.equal(result, results[0]) for result in results), "two loads differ"
    module = import_module(folder / "musa.py")
    if musa_version is None:
        try:
            module.default_device()
            raise AssertionError("default_device() gave a device that is not there")
        except RuntimeError as error:
            assert "musa:0" in str(error), error
        return
    torch.utils.rename_privateuse1_backend("musa")
    assert module.default_device() == torch.device("musa:0")


def run_with_library(folder, weights):
    """The ops are a library's already, without fake kernels: they are called, and get the module's fakes."""
    calls = []

    def swiglu(x):
        calls.append("swiglu")
        gate, up = x.chunk(2, dim=-1)
        return torch.nn.functional.silu(gate) * up

    torch.library.define("aten::_fused_swiglu_forward", "(Tensor x) -> Tensor")
    torch.library.impl("aten::_fused_swiglu_forward", "default", swiglu)
    graph = import_module(folder / "whole.py").load(weights, device="cpu")
    inputs = inputs_of([1, 2, 3], "cpu")
    with torch.no_grad():
        eager = graph(*inputs)
        compiled = torch.compile(graph, fullgraph=True, backend="eager")(*inputs)
    assert calls, "the library's operator was not called"
    assert difference(compiled, eager) <= SAME


def run_mode(mode, folder, weights):
    if mode == "twice":
        run_twice(folder, weights, None)
    elif mode == "twice-musa":
        run_twice(folder, weights, "4.3.0")
    else:
        run_with_library(folder, weights)


def write_weights(arguments, folder):
    weights = folder / "weights.safetensors"
    if not weights.exists() and arguments.musaic and arguments.gguf:
        subprocess.run([arguments.musaic, "graph", arguments.gguf, "--dtype", "float32", "--export-weights", weights],
                       check=True)
    return weights if weights.exists() else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--musaic")
    parser.add_argument("--gguf")
    parser.add_argument("--mode", choices=("twice", "twice-musa", "library"), help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    if arguments.mode:
        run_mode(arguments.mode, arguments.folder, arguments.weights)
        return
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    print(f"PyTorch {torch.__version__}, devices: {' '.join(devices)}")
    for folder in sorted(path for path in arguments.folder.iterdir() if (path / "prompts.json").exists()):
        if folder.name == "smollm2":
            weights, golden = write_weights(arguments, folder), None
            if weights is None:
                print("     smollm2 left out: no weights.safetensors, and no --musaic and --gguf to write it")
                continue
        else:
            tiny = DATA / "tiny" / folder.name
            weights = tiny / "model.safetensors"
            golden = json.loads((tiny / "golden.json").read_text())["golden"]
        Model(folder, weights, golden).check(devices)
    folder, weights = arguments.folder / "llama", DATA / "tiny" / "llama" / "model.safetensors"
    for model, ops in op_arguments().items():
        check_fakes(arguments.folder / model, ops)
    subprocess_check("loads twice where torch.version.musa is absent", folder, weights, "twice")
    subprocess_check("loads twice where torch.version.musa is there, and names musa:0", folder, weights, "twice-musa")
    subprocess_check("uses a library's operator and gives it the fake", folder, weights, "library")
    print("FAILED: " + "; ".join(failures) if failures else "all checks passed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
