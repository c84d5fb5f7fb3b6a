# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402


def pytest_collection_modifyitems(items):
    if not harness.worker_path():
        skip = pytest.mark.skip(reason="WSSERVER_WORKER does not name the worker")
        for item in items:
            item.add_marker(skip)


@pytest.fixture
def start():
    """Starts workers; at the end none may have crashed or complained."""
    workers = []

    def start_one(**options):
        worker = harness.Worker(**options)
        workers.append(worker)
        return worker

    yield start_one
    problems = []
    for worker in workers:
        said = worker.finish()
        expected = getattr(worker, "expected_status", 0)
        if worker.process.returncode != expected or "Sanitizer" in said or "runtime error" in said:
            problems.append((worker.process.returncode, said))
    assert not problems
