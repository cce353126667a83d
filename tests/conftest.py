"""Fixtures of all whole-server tests. With CI=true a skipped test fails the run."""
import os

import pytest

from running_server import RunningServer, default_model


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run evaluations at their full length (200 questions)")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    left_out = [item for item in items if "full" in item.keywords]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and os.environ.get("CI") == "true" and reporter.stats.get("skipped"):
        reporter.write_line("CI: a skipped test counts as a failure")
        session.exitstatus = 1


@pytest.fixture(scope="session")
def model():
    path = default_model()
    if path is None:
        pytest.skip("no default model: MUSAIC_DEFAULT_MODEL is not set and it was not fetched")
    return path


@pytest.fixture(scope="module")
def start(model):
    """start(*flags) gives a ready server; all end with the module."""
    servers = []

    def start_one(*flags, **options):
        server = RunningServer(model, *flags, **options)
        servers.append(server)
        return server.wait_until_ready()

    yield start_one
    for server in servers:
        server.end()


@pytest.fixture(scope="module")
def server(start):
    """One server with default flags a module."""
    return start()
