"""The provider port, its adapters, and the pure difference between what should be and what is."""
