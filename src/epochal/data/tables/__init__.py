"""Tables: files and frames into named columns, and columns into the numbers that a model takes."""
