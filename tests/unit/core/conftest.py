"""How long hypothesis may take here: a slow machine is no failure, and a run repeats itself."""

from hypothesis import settings

settings.register_profile("core", deadline=None, derandomize=True, database=None)
settings.load_profile("core")
