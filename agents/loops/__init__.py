"""Networks and tables as loops for a CPU, which numba compiles, or kernels for a GPU; torch's code is the reference.

Modules ``*_loop`` are compiled and know arrays alone; modules ``*_gpu`` are Triton's. The others are functions of torch
around them: ``scorer`` for values of an ``OptionScorer`` (by ``scorer_cpu`` or ``scorer_gpu``), ``policy`` for updates
of ``ippo``. ``flat`` makes one array of a network. Agents and their parts call these; nothing here knows agents.
"""
