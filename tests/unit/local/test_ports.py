"""Free ports."""

from __future__ import annotations

import socket

from qgjob.local.ports import free_port, is_free


def test_a_free_port_is_free_and_not_one_the_kernel_gives_away() -> None:
    port = free_port()
    assert is_free(port)
    assert 10240 <= port < 32768


def test_the_preferred_port_is_taken_when_it_is_free_and_another_when_not() -> None:
    wanted = free_port()
    with socket.create_server(("127.0.0.1", wanted)):
        assert not is_free(wanted)
        assert free_port(prefer=wanted) != wanted
    assert free_port(prefer=wanted) == wanted
