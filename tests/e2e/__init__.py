"""The real program, real sockets, real SDKs."""

import pytest

pytest.register_assert_rewrite("tests.e2e.gateway_contract")
