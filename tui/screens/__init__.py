"""The screens: which widgets stand where, and what their actions do."""
