"""One model of this machine on the command line, without a server: asked, embedding, judged by its size."""
