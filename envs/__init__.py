"""The environment: behaviours, the market core, and its PettingZoo and Gymnasium facades."""
