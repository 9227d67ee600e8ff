"""Store builds, bundles and runs."""
