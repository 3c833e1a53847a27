"""What things cost: ``make bench``, a JSON object a line. Nothing here passes or fails by how fast it was."""
