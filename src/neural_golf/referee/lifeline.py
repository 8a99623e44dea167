"""No process of the sandbox outlives the one that started it, however that one ends.

Two things see to it. On Linux the kernel kills a process when its parent ends; this is lost where a process
takes on another identity, and it hangs on the parent's thread. And the child, while it waits for its fork,
also listens to the socket that ties it to its parent: the socket's end is the parent's end, on every system.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import sys

__all__ = ["Forks", "die_with"]

_PARENT_DEATH_SIGNAL = 1  # <linux/prctl.h>


def die_with(parent: int) -> None:
    """Be killed when the parent ends (Linux), and at once where it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


class Forks:
    """Waits for forks and for the end of the parent at once."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # it ends a fork as any signal does, and not by an exception
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing would wake the child
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def wait(self, pid: int) -> tuple[int, resource.struct_rusage]:
        """The wait status of a fork, and what it used. Ends both where the parent has ended."""
        while True:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return status, usage
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._control in ready:  # nothing is asked while a file is judged, so this is the end
                os.kill(pid, signal.SIGKILL)
                os._exit(1)
            self._woken.recv(4096)

    def close(self) -> None:
        """In a fork: it has no forks of its own."""
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._wake.close()
