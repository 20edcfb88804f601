/**
 * A shell command that waits until the pipe on its standard input is full, because nothing reads from it. A test then
 * knows that the writer has met a slow reader. It polls the write end of the pipe, which it opens through /proc, and
 * ends with SIGALRM after four minutes.
 */
export const WAIT_FOR_FULL_PIPE = `python3 -c 'import os, select, signal, time
signal.alarm(240)
pipe = select.poll()
pipe.register(os.open("/proc/self/fd/0", os.O_WRONLY | os.O_NONBLOCK), select.POLLOUT)
while pipe.poll(0): time.sleep(.001)'`;
