"""What documents say: pure Python, no Django, no clock, no network, no database."""
