// Times that more than one part of the engine keeps to. Parts do not import each other.

/** How long a connection that nobody wants may hold its place while what runs on it is cancelled. */
export const CANCEL_MS = 1_000;

/**
 * While anything is idle somebody looks this often: only a timer that was due while the process was frozen can tell that it was, since a
 * stopped process sees both its clocks run on. No less often than a freeze is long that counts as one.
 */
export const BEAT_MS = 1_000;
