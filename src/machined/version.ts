// What the daemon says of itself: the interface level, and which program it is.

export const VERSION = "262 (machined 0.1.0)";
