"""What the project stands on and hands out: a lint of our own, a scan for secrets, an audit of the lock."""
