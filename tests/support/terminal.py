"""Runs a command under a pseudo-terminal that is its controlling one.

Standard input is what is typed, standard output what the terminal shows; the exit code is the
command's, or 128 + the signal that ended it. Whoever ends this program hangs the terminal up.
"""

import os
import pty
import select
import sys

child, master = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])

typing = True
while True:
    ready, _, _ = select.select([master] + ([0] if typing else []), [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        typing = bool(typed)
        os.write(master, typed)
    if master in ready:
        try:
            shown = os.read(master, 65536)
        except OSError:  # the last process with the terminal open has gone
            shown = b""
        if not shown:
            break
        os.write(1, shown)

_, status = os.waitpid(child, 0)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
