"""What commands say of themselves: help, manual page, reference, completion."""
