"""Polyview in Python: stores of many implicit neural representations (INRs), and what is made of them.

polyview.store   a typed reader of stores
polyview.torch   PyTorch datasets over stores
polyview.tools   the command polyview-tools: report, plots, export and import, meshes, tables
"""


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module 'polyview' has no attribute '{name}'")
    from ._version import VERSION

    return VERSION
