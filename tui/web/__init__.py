"""The dashboard in a browser: textual-serve with a page of our own, and nobody let in who should not be."""
