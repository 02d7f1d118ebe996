"""A canvas in memory, colours, and what parts of the world add to a picture of it."""
