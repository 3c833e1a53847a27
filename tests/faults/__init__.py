"""The fault harness: the gateway under kills, pauses, crashes and lies of the other sides; what was promised is compared, as sets."""
