"""Fixtures of the end-to-end tests. TURING_E2E_STORE=sqlite|mongodb chooses the
store of agent and cloud, TURING_E2E_CLOUDS=N how many clouds there are, behind
HAProxy when more than one. What is marked sqlite or mongodb is about that store
and runs with it alone; what is marked mongod wants MongoDB itself, and is left
out where there is none."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "support"))

import harness  # noqa: E402
import stores  # noqa: E402


def pytest_configure(config):
    for name in ("sqlite", "mongodb"):
        config.addinivalue_line("markers", f"{name}: about {name} alone")
    config.addinivalue_line("markers", "mongod: wants MongoDB itself")


def pytest_collection_modifyitems(config, items):
    others = {"sqlite", "mongodb"} - {stores.STORE}
    left = [item for item in items
            if any(item.get_closest_marker(name) for name in others)]
    if "mongodb" == stores.STORE and not stores.server_module().find_mongod():
        absent = [item for item in items if item.get_closest_marker("mongod")]
        for name in sorted({item.module.__name__ for item in absent}):
            print(f"left out: what {name} asks of MongoDB itself;"
                  f" {stores.server_module().why_no_mongod()}")
        left += absent
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call):
    """What wants a server where none is to be had is left out, and says so.
    One that does not start is a failure."""
    report = (yield).get_result()
    servers = stores.server_module()
    if call.excinfo and isinstance(call.excinfo.value, servers.ServerAbsent) \
            and not servers.find_mongod() and servers.why_no_stand_in():
        report.outcome = "skipped"
        report.longrepr = (report.nodeid, 0,
                           f"mongodb absent: {call.excinfo.value}")


@pytest.fixture
def stack():
    with harness.Stack() as running:
        yield running
