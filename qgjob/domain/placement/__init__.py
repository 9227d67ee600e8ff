"""Which waiting job goes to which slot next: a pure core, used live and in simulation."""
