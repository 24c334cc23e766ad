"""One copy of the weights on a disk: SAM's folder, Hugging Face's cache and Ollama's store by hard link."""
