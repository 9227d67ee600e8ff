"""What is brought to this machine, kept and removed: bundles, builds, working copies."""
