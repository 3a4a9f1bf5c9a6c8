"""The security table on the real parts: a private stack, its least-privilege users, and what they are refused."""
