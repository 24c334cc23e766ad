"""What the processes of a run would make alike or again and again, made once (see deploy/test.sh)."""
