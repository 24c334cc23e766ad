"""Embedders of BERT's family computed by OpenVINO, from a GGUF file or a folder of safetensors.

``network``, ``graph`` and what imports them are imported in an engine's child only: OpenVINO loads some 150 MB of code.
"""
