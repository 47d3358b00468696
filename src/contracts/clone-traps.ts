// What happens to whoever posts a pool, a lease or a transaction to another thread by mistake. Their state is private, so they would arrive
// as empty objects without a word, and fail there for no visible reason; a function among their own properties makes posting them an error,
// whose text is the source of that function, of which Node shows about a hundred characters. So the functions below are texts: nothing calls
// them.

/** As an own property with an integer key it comes before pg's functions. */
export const POOL_TRAP = (): string =>
  'A pool cannot be posted. Post pool.share(); joinPool(handle) of oxbow/threads joins it there.';

export const LEASE_TRAP = (): string =>
  'A lease cannot be posted. Post pool.share(), and acquire from joinPool(handle) there.';

export const TRANSACTION_TRAP = (): string =>
  'A transaction cannot be posted. Post pool.share(), and begin one on joinPool(handle) there.';
