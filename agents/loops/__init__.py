"""Networks and tables as loops for a CPU, which numba compiles, or kernels for a GPU; torch's code is the reference.

Modules ``*_loop`` are compiled and know arrays alone; modules ``*_gpu`` are Triton's. Agents and their parts call the
others, functions of torch: ``scorer`` for values of an ``OptionScorer`` (by ``scorer_cpu`` or ``scorer_gpu``),
``fitting`` for updates of ``dqn`` and ``pqn``, ``policy`` for those of ``ippo``. ``flat`` makes one array of a network.
"""
