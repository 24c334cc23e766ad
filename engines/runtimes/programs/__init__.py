"""Servers of others that SAM starts itself, one for an engine: llama-server and vLLM, as the host has them."""
