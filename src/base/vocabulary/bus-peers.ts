// The names, paths and interfaces of the two peers that are on each message bus of systemd: the broker itself (the
// D-Bus specification, "Message Bus Messages") and the service manager (org.freedesktop.systemd1(5)).

/** The broker: its name, its interface, and the beginning of its errors' names. */
export const BROKER = "org.freedesktop.DBus";
export const BROKER_PATH = "/org/freedesktop/DBus";

export const SYSTEMD1_NAME = "org.freedesktop.systemd1";
export const SYSTEMD1_PATH = "/org/freedesktop/systemd1";
export const SYSTEMD1_MANAGER = `${SYSTEMD1_NAME}.Manager`;
