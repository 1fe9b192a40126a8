"""Measurements: `make bench` runs them all; each prints ratios taken side by side in one run."""
