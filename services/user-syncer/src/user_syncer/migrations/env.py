"""Alembic's entry point; everything is the backbone's."""

from backbone.migrations import run_env

run_env()
