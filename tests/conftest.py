"""What every test run shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A machine may be slow: no verdict of Hypothesis rests on real time.
settings.register_profile("trioakt", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("trioakt")
