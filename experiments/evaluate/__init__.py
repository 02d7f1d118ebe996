"""What a run has reached, on held-out worlds without exploration, beside baselines and optima."""
