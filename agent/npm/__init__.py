"""The npm packages of test bundles: installed once for each lock file, shared by the slots of an agent."""
