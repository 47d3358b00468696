// What a server of a test leaves behind, and its removal. Used by the test process itself and, when that was killed, by the
// watchdog. Knows nothing of how a server is started.

import { endSync, removeFolder } from './embedded-processes.ts';

/** What would be left behind at this moment. */
export interface Remains {
  /** Folders to remove. */
  readonly folders: readonly string[];
  /** A server's folder, and the process that works in it, if one does. */
  readonly server?: { readonly folder: string; readonly pid: number | undefined };
  /** A schema to drop on a server that is not ours. */
  readonly schema?: { readonly url: string; readonly name: string };
}

/** Removes everything that can be removed without waiting for anybody's answer. */
export function removeNow(remains: Remains): void {
  if (remains.server) endSync(remains.server.folder, remains.server.pid);
  for (const folder of remains.folders) removeFolder(folder);
}
