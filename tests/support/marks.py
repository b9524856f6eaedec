"""Marks that tests of several files bear."""

from __future__ import annotations

import os

import pytest

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of other users")
