#!/usr/bin/env python3
"""Checks modules that `musaic graph --export torch` wrote, without PyTorch: they parse and compile, call what PyTorch
has, name every value before it is used, ask for tensors that are there, and name their device and its import right.

usage: check_module.py --device DEVICE [--weights FILE.safetensors] MODULE...
"""
import argparse
import ast
import builtins
import json
import re
import sys

BUILT_IN_DEVICES = {"cpu", "cuda", "xpu", "mps", "meta"}
TORCH_NAMES = {
    "torch." + name
    for name in """add arange argsort bfloat16 bool cat cos cumsum device empty flatten float16 float32 float64
    float8_e4m3fn frombuffer full_like gather index_select int32 int64 int8 library.define library.impl
    library.impl_abstract matmul mul nn.Module nn.functional.embedding nn.functional.linear nn.functional.pad
    nn.functional.silu ones ops ops.aten.slice round rsqrt scatter sin softmax stack tensor topk unflatten version
    where zeros zeros_like library""".split()
}
METHODS = set(
    """abs amax append clamp copy_ double float format from_bytes head extend items join load loads masked_fill mean
    new_empty pow read register_buffer repeat_interleave reshape split squeeze sum to transpose triu unsqueeze
    __init__""".split()
)
ATTRIBUTES = METHODS | {"shape", "dtype", "device"}


def dotted(node):
    """a.b.c of an attribute chain that begins with a name, else None."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id] + parts[::-1])


def outermost_attributes(tree):
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in inner]


class Module:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        compile(text, path, "exec")
        self.path = path
        self.tree = ast.parse(text)
        self.errors = []

    def error(self, node, message):
        self.errors.append(f"{self.path}:{getattr(node, 'lineno', 1)}: {message}")

    def constant(self, name):
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and dotted(node.targets[0]) == name:
                return node.value
        sys.exit(f"{self.path}: no {name}")

    def functions(self):
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    def defined_ops(self):
        """{name: the arguments of its _define_op}"""
        calls = [node.value for node in self.tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
        return {call.args[0].value: call.args for call in calls if dotted(call.func) == "_define_op"}

    def check_names(self):
        """Every name that is read is a builtin, global, argument, or assigned before in its function."""
        top = {"torch", "json"} | set(self.functions()) | {"Graph"}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and node in self.tree.body:
                top |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            if isinstance(node, ast.Import):
                top |= {alias.name for alias in node.names}
            if isinstance(node, ast.Try):
                top |= {t.id for h in node.handlers for s in h.body if isinstance(s, ast.Assign) for t in s.targets}
        for function in (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)):
            arguments = function.args.args + function.args.kwonlyargs + ([function.args.vararg] if function.args.vararg else [])
            known = {}
            for argument in arguments:
                known[argument.arg] = 0
            for node in ast.walk(function):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    known[node.id] = min(node.lineno, known.get(node.id, node.lineno))
            for node in ast.walk(function):
                if not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)):
                    continue
                if node.id in top or hasattr(builtins, node.id):
                    continue
                if known.get(node.id, node.lineno + 1) > node.lineno:
                    self.error(node, f"{node.id} is used before it is assigned")

    def check_torch_names(self):
        ops = {"torch.ops." + name.replace("::", ".") for name in self.defined_ops()}
        for node in outermost_attributes(self.tree):
            name = dotted(node)
            root = (name or "").split(".")[0]
            if root == "torch":
                if name not in TORCH_NAMES and name not in ops:
                    self.error(node, f"{name} is not in the list of PyTorch's names")
            elif root not in ("self", "json") and node.attr not in ATTRIBUTES:
                self.error(node, f".{node.attr} is not in the list of methods")

    def check_ops(self):
        functions = self.functions()
        for name, arguments in self.defined_ops().items():
            schema = arguments[1].value
            expected = re.findall(r"(\w+)(?:=[^,()]*)?(?=,|\) ->)", schema.replace("(a!)", "").replace("(b!)", "")
                                  .replace("(c!)", ""))
            for function in (arguments[2].id, arguments[3].id):
                if function not in functions:
                    self.error(arguments[0], f"{name}: no function {function}")
                    continue
                got = [argument.arg for argument in functions[function].args.args]
                required = len(got) - len(functions[function].args.defaults)
                if got[: len(expected)] != expected or len(expected) < required:
                    self.error(functions[function], f"{name}: takes {got}, its schema has {expected}")

    def check_attributes(self, weights, constants):
        tables = set(weights) | set(constants)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                if node.attr.startswith(("w_", "c_")) and node.attr not in tables:
                    self.error(node, f"self.{node.attr} is in no table")
        used = {node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}
        for name in sorted(tables - used):
            self.error(self.tree, f"{name} is held and never used")

    def check_weights(self, weights, tensors):
        for attribute, (names, shape) in weights.items():
            missing = [name for name in names if name not in tensors]
            if missing:
                self.error(self.tree, f"{attribute}: the model has no tensor {missing[0]}")
                continue
            shapes = [tuple(tensors[name]["shape"]) for name in names]
            stacked = (sum(part[0] for part in shapes),) + shapes[0][1:]
            if len(shape) == 3 and stacked[0] == shape[0] * shape[1]:  # of all experts
                stacked = (shape[0], shape[1]) + stacked[1:]
            if stacked != tuple(shape):
                self.error(self.tree, f"{attribute}: shape {shape}, the model's tensors give {stacked}")

    def check_device(self, device):
        kind = device.split(":")[0]
        returned = [node.value for node in ast.walk(self.functions()["default_device"]) if isinstance(node, ast.Return)]
        if [ast.unparse(value) for value in returned] != [f"torch.device('{device}')"]:
            self.error(self.functions()["default_device"], f"expected torch.device('{device}')")
        guarded = [node for node in self.tree.body if isinstance(node, ast.Try)]
        imports = [alias.name for t in guarded for node in t.body if isinstance(node, ast.Import) for alias in node.names]
        expected = [] if kind in BUILT_IN_DEVICES else [f"torch_{kind}"]
        if imports != expected:
            self.error(self.tree, f"guarded imports: expected {expected}, got {imports}")
        if any(ast.unparse(t.handlers[0].type) != "ImportError" for t in guarded):
            self.error(self.tree, "an import is guarded by something else than ImportError")
        plain = [alias.name for node in self.tree.body if isinstance(node, ast.Import) for alias in node.names]
        if plain != ["json", "torch"]:
            self.error(self.tree, f"imports: expected json and torch, got {plain}")
        direct = [name for node in outermost_attributes(self.tree) if (name := dotted(node) or "").startswith("torch.version.")]
        if direct:
            self.error(self.tree, f"{direct[0]} may be absent: read it with getattr")


def read_header(path):
    with open(path, "rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def check(path, device, tensors):
    try:
        module = Module(path)
    except SyntaxError as error:
        return [f"{path}:{error.lineno}: {error.msg}"]
    weights = ast.literal_eval(module.constant("WEIGHTS"))
    constants = [key.value for key in module.constant("CONSTANTS").keys]
    for name in ("INPUTS", "OUTPUTS"):
        ast.literal_eval(module.constant(name))
    module.check_names()
    module.check_torch_names()
    module.check_ops()
    module.check_attributes(weights, constants)
    module.check_device(device)
    if tensors is not None:
        module.check_weights(weights, tensors)
    return module.errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", required=True)
    parser.add_argument("--weights")
    parser.add_argument("modules", nargs="+")
    arguments = parser.parse_args()
    tensors = read_header(arguments.weights) if arguments.weights else None
    errors = [error for path in arguments.modules for error in check(path, arguments.device, tensors)]
    for error in errors:
        print(error, file=sys.stderr)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
