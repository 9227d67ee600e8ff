"""One module a command; `qgjob.cli.table` lists them."""
