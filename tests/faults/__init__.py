"""The fault matrix: each row breaks something while projects are made, and counts what was lost, doubled or stuck."""
