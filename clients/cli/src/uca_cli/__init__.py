"""A typed client of project-api, and the command line over it."""
