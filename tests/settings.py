"""SAM's own settings on a data folder of this test run, with cheap passwords and no rate limits."""

from __future__ import annotations

import tests.scratch_data  # noqa: F401 - sets the environment the next import reads

# isort: split
from samproject.settings import *  # noqa: F403 - every setting, changed below

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SAM_RATES = dict.fromkeys(("anon", "user", "work"))
