"""What the services say to each other, and nothing else."""
