"""Lets clients that import torch, but compute nothing with it, start without it.

Python imports `sitecustomize` by itself when this folder is on PYTHONPATH. It answers every import below the
names in STANDS_FOR with a module whose attributes are placeholders: a placeholder can be called, subclassed,
subscripted, iterated (empty) and used as a decorator; it is false. Anything that would really compute gets
placeholders back, so a client that needs torch fails at once instead of computing nonsense.
"""
import abc
import importlib.abc
import importlib.machinery
import sys
import types

STANDS_FOR = {"torch", "torchvision", "triton", "sgl_kernel", "flashinfer"}


def is_dunder(name):
    return name.startswith("__") and name.endswith("__")


def decorated(args, kwargs):
    """The function, when a placeholder is used as `@placeholder`; else None."""
    if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], type):
        return args[0]
    return None


class PlaceholderType(abc.ABCMeta):
    def __getattr__(cls, name):
        if is_dunder(name):
            raise AttributeError(name)
        return Placeholder

    def __getitem__(cls, _):
        return cls

    def __iter__(cls):
        return iter(())

    def __or__(cls, _):
        return Placeholder

    __ror__ = __or__

    # Version checks such as `torch.version >= ...` take the oldest branch.
    def __lt__(cls, _):
        return False

    def __ge__(cls, _):
        return False


class Placeholder(metaclass=PlaceholderType):
    def __new__(cls, *args, **kwargs):
        if cls is Placeholder and (function := decorated(args, kwargs)):
            return function
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return decorated(args, kwargs) or Placeholder()

    def __getattr__(self, name):
        if is_dunder(name):
            raise AttributeError(name)
        return Placeholder

    def __bool__(self):
        return False

    def __iter__(self):
        return iter(())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class PlaceholderModule(types.ModuleType):
    __path__ = []
    __version__ = "2.9.0"

    def __getattr__(self, name):
        if is_dunder(name):
            raise AttributeError(name)
        if self.__name__ == "torch.version":
            return None  # neither cuda nor hip nor musa
        if name == "is_available":
            return lambda *_, **__: False
        return Placeholder


class PlaceholderFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in STANDS_FOR:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return PlaceholderModule(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, PlaceholderFinder())
