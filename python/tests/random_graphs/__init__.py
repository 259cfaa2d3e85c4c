"""Random operator graphs, run by PyTorch and by all engines, and compared.

`generate` draws a graph from numbers, `graph` is its readable text and the PyTorch module made of it, `numbers` says how far rounding may carry its values,
`operations` lists what a graph may consist of, `check` compiles, runs and compares, `shrink` makes a graph that fails smaller.
"""
