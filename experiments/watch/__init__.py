"""Films of agents at play."""
