"""Differential fuzz: damaged documents read by our engine and by stock pyx12, and every difference accounted for.

python -m tests.fuzz [--count 20000] [--seed 1]
"""
