"""Pieces that agents share."""
