"""Fixtures for every test of the repository; see local.testing."""

pytest_plugins = ["local.testing"]
