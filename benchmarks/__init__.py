"""Side by side with the peers: what a step costs here, there, and at the least.

``python -m benchmarks [WORKLOAD …]`` from the root of the repository prints one Markdown table.
Each side of a comparison lives in a process of its own (``worker``), all with as many threads; they
are asked in turn, A B A B …, for a block of steps (``turns``), so that what else the machine
does meets them all, and a ratio is taken within each round. Nothing here asserts a time. A workload
is a file in ``workloads``, a peer one more entry in its ``sides``.
"""
