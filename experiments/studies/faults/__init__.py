"""Kills, damaged files, full disks, bad command lines and bad calls: what the package does with each of them."""
