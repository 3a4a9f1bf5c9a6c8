"""An HTTP stand-in for Zadara zCompute: its identity dialect, its limits, and its faults on demand."""
