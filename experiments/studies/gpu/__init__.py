"""What the product does on one GPU: whether it is right there, how fast it is, and how soon it learns."""
