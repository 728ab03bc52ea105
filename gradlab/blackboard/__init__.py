"""A small network on the blackboard: each number of its forward and backward pass, with the formula."""
