"""The scheduler service.

`service` runs a replica, `reign` is what its leader does, and `wiring` puts that together. Below them, each
package imports only those after it: `attempts`, `control`, `intake`, `queries` and `projection`, `dispatch`,
`leadership`, `backlog`.
"""
