"""What commands print: tables, words, progress of transfers."""
