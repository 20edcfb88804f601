/**
 * A shell command that waits until the pipe on its standard input takes no more, because nobody has read from it: what is
 * read after it was written to a slow reader. It ends by itself where the writer is gone without having written. It polls the pipe's other end, which /proc opens.
 */
export const WAIT_FOR_FULL_PIPE = `python3 -c 'import os, select, signal, time
signal.alarm(240)
pipe = select.poll()
pipe.register(os.open("/proc/self/fd/0", os.O_WRONLY | os.O_NONBLOCK), select.POLLOUT)
while pipe.poll(0): time.sleep(.001)'`;
