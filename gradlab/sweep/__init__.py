"""Do it a thousand times: grids of networks, computed once, kept, resumed."""
