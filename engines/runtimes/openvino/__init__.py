"""Embedders of BERT's family computed by OpenVINO, from the tensors of their GGUF file.

``network`` and ``graph`` are imported in an engine's child only: OpenVINO loads some 150 MB of code.
"""
