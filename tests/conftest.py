"""For every test: the same examples in every run. What chance finds is looked for by ``tests.fuzz``."""

from hypothesis import settings

settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")
