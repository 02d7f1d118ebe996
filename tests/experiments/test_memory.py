"""Memory that a training frees stays with the process."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from contextlib import nullcontext
import torch
from interplay.experiments.common.memory import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24)  # 64 MiB, more than glibc ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = faults()
with kept_memory():
    for _ in range(4):  # until all that is needed has been asked for
        faults()
    print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.slow
def test_large_tensors_cost_no_page_faults_again():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    without, kept = map(int, said.split())
    assert kept < 100
    assert without > 5 * kept
