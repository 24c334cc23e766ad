"""What an answer gives where arguments stand, in each of the ways in which it is written."""
