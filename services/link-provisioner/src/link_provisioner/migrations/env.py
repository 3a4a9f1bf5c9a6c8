"""Alembic's entry to this service's history."""

from backbone.migrations import run_env

run_env()
