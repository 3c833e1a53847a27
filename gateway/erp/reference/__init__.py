"""The reference ERP: the other side of our published contract, as a program of its own.

It shares no code with the gateway: standard library only, its own process, its own SQLite file. Tests, rehearsals and
the demo run against it, and whoever implements the contract can read here what each answer should be.
"""
