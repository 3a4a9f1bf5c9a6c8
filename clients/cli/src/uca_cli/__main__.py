"""uca: projects and dead letters from the command line.

UCA_API_URL names the API and UCA_TOKEN the caller (UCA_ADMIN_TOKEN where that is missing).

Exit codes: 0 fine, 1 the run failed, the cloud differs or the API refused, 2 wrong usage, 3 the API cannot be reached,
4 what is watched goes on.
"""

import typer

from uca_cli import directory, letters, projects

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(projects.app, name="project")
app.add_typer(letters.app, name="dead-letters")
app.add_typer(directory.users, name="users")
app.add_typer(directory.tenants, name="tenants")


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
