"""The console: one page that this service serves itself, and how a person signs in to it."""
