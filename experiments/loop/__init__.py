"""Training: the agents, the market of a run, its steps, its checkpoints and its TensorBoard events."""
