"""Plans on the command line: one person, many people, and waiting for their end."""
