"""How trainings follow the width and the depth: the coordinate check, for networks here and for anyone's model."""
