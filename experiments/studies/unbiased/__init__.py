"""What a log's selection does to what is learnt from it."""
