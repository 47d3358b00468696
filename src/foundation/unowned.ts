// What an asynchronous resource remembers of the moment in which it was made. Owns how it forgets that; knows nobody's store.

/** Names that Node gives to what is no store. */
const OWN: ReadonlySet<string | undefined> = new Set(['async_id_symbol', 'trigger_async_id_symbol', 'destroyed']);

/**
 * Takes from a new `AsyncResource` whatever stores it has. It is made when its file is loaded, and that may be inside a request (a lazy route, a
 * `require` in a handler): whatever ran in it would then run in that request's context for ever, and keep it. Node keeps the stores under symbols:
 * one for each AsyncLocalStorage, or since Node 24 one for all.
 */
export function unowned<R extends object>(resource: R): R {
  for (const key of Object.getOwnPropertySymbols(resource)) {
    if (!OWN.has(key.description)) Reflect.set(resource, key, undefined);
  }
  return resource;
}
