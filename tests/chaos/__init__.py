"""Seeded chaos: everything that people may ask for, at once and in any order, while services die and the cloud fails.

The fault matrix sends one kind of request through one fault at a time. Here it is the order of commands that is tried:
what a cancelled, superseded or failed run leaves behind must be taken up by whatever is asked for next.
"""
