"""The library: what ``import interplay`` offers for training, evaluating and comparing. It prints nothing."""
