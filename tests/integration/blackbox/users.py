# SPDX-License-Identifier: Apache-2.0
"""Who the apps of a test run as: the tests' own user is the administrator where a configuration says so."""

import getpass
import os

import pytest

ADMINISTRATORS = {"users": [getpass.getuser() if os.geteuid() else "root"], "groups": []}
ORDINARY_USER = (65534, 65534)  # nobody
GROUP_MEMBER = (65534, 1)  # nobody, in the group daemon

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can let another user's app connect")
