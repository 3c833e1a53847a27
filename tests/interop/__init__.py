"""Four other implementations of AS2 and ours, exchanging real messages: the matrix, its peers and what is odd about them.

``cases`` says what is exchanged, ``test_matrix`` exchanges it, ``peculiarities`` names what a peer does in its own way,
``environments`` installs the peers that are not libraries of ours. ``make interop`` prints every row with its result.
"""
