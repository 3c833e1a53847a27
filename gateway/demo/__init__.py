"""The demo: the main job for real, on one machine, against other programs that play the ERP and a supplier."""
