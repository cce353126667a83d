"""`make install`: what it leaves under PREFIX runs from there."""
import pathlib
import shutil
import subprocess

from running_server import ROOT, run_musaic


def test_the_version_is_the_commit_that_was_built():
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    subprocess.run([str(ROOT / "scripts" / "build.sh"), "cpu", "musaic"], check=True, capture_output=True, timeout=1800)
    built = subprocess.run([str(ROOT / "build" / "musaic"), "--version"], capture_output=True, text=True, check=True)
    assert f"({described.stdout.strip() or 'no commit'})" in built.stdout


def test_an_installed_program_runs_and_its_unit_names_it(tmp_path):
    prefix = tmp_path / "usr"
    subprocess.run(["make", "-s", "-C", str(ROOT), "install", f"PREFIX={prefix}"], check=True, capture_output=True, timeout=1800)
    program = prefix / "bin" / "musaic"
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == run_musaic("--version").stdout
    unit = prefix / "lib" / "systemd" / "system" / "musaic.service"
    assert f"ExecStart={program} serve" in unit.read_text()
    for path in ("include/musaic/plugin.h", "share/doc/musaic/LICENSE", "share/doc/musaic/NOTICE",
                 "share/doc/musaic/docs/OPERATIONS.md"):
        assert pathlib.Path(prefix, path).is_file(), path
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
        assert verified.returncode == 0 and "musaic" not in verified.stderr, verified.stderr
