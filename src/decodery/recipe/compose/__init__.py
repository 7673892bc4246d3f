"""A recipe from its layers: defaults < base < child < patch < command line, all made in the tree."""
