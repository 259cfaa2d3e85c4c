"""Importers: a model of another framework in, MLIR text of linalg, tensor, arith and math out."""
