"""Fixtures of the end-to-end tests."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402


@pytest.fixture
def stack():
    with harness.Stack() as running:
        yield running
