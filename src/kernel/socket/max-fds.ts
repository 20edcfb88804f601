// Apart from the calls, because clients that use a socket of the engine load no system calls.

/** The kernel's limit of descriptors in one message (unix(7), "SCM_RIGHTS"). */
export const MAX_FDS = 253;
