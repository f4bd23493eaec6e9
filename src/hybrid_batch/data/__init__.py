"""Data: corpora to train on and benchmarks to measure with, and what they share. The method itself, in the folder above,
does not depend on how they are read."""
