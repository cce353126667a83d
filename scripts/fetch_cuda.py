#!/usr/bin/env python3
"""Fetches NVIDIA's CUDA compiler once and prints where it is: a folder for CUDA_HOME.

nvcc and what it needs are PyPI packages (NVIDIA's own; their licences lie beside them). They are kept under
the user's cache folder; the folder appears there whole, from files whose hashes are right, or not at all.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

VERSION = "13.0.88"
# The wheels for Linux on x86-64.
PACKAGES = """
nvidia-cuda-nvcc==13.0.88 --hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-nvvm==13.0.88 --hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cccl==13.0.85 --hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
"""
PREFIX = "nvidia/cu13/"


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "musaic"


def download(folder):
    requirements = folder / "requirements.txt"
    requirements.write_text(PACKAGES)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--require-hashes",
               "--disable-pip-version-check", "--only-binary=:all:", "--quiet", "--dest", str(folder),
               "--requirement", str(requirements)]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        sys.exit("fetch_cuda: pip could not download the CUDA compiler; is the package index reachable? "
                 "With a toolkit of version 13 at hand, set CUDA_HOME to its folder.")
    return sorted(folder.glob("*.whl"))


def unpack(wheel, home):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            is_licence = ".dist-info/licenses/" in name
            if name.endswith("/") or not (name.startswith(PREFIX) or is_licence):
                continue
            target = home / (name.removeprefix(PREFIX) if not is_licence else "licenses/" + wheel.name + ".txt")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
            if "bin" in target.relative_to(home).parts[:-1]:
                target.chmod(0o755)


def arrange(home):
    """The names by which nvcc and CMake look for folders."""
    (home / "lib64").symlink_to("lib")
    targets = home / "targets" / "x86_64-linux"
    targets.mkdir(parents=True)
    for name in ("include", "lib"):
        (targets / name).symlink_to(f"../../{name}")


def main():
    target = cache_folder() / f"cuda-{VERSION}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"musaic: fetching the CUDA compiler {VERSION} (104 MB, once)", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as temporary:
            home = pathlib.Path(temporary) / "cuda"
            for wheel in download(pathlib.Path(temporary)):
                unpack(wheel, home)
            arrange(home)
            os.replace(home, target)
    print(target)


if __name__ == "__main__":
    main()
