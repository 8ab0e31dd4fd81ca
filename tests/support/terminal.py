"""Runs a command under a pseudo-terminal that is its controlling one.

Standard input is what is typed, standard output what the terminal shows; the exit code is the
command's, or 128 + the signal that ended it. Whoever ends this program hangs the terminal up.

`--size COLUMNSxROWS` before the command is the terminal's size. Typed between two of the
character 0x1e, such a size is the new one from there on.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios

command = sys.argv[1:]
size = None
if command[0] == "--size":
    size, command = command[1], command[2:]


def resize(terminal, size):
    columns, rows = map(int, size.split("x"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


begin, begun = os.pipe()
child, master = pty.fork()
if child == 0:
    # Not before the terminal has its size.
    os.read(begin, 1)
    os.execvp(command[0], command)
if size:
    resize(master, size)
os.write(begun, b"x")

typing = True
while True:
    ready, _, _ = select.select([master] + ([0] if typing else []), [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        typing = bool(typed)
        for part in re.split(b"(\x1e[0-9x]+\x1e)", typed):
            if part.startswith(b"\x1e"):
                resize(master, part.strip(b"\x1e").decode())
            elif part:
                os.write(master, part)
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
