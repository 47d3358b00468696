// Time as a benchmark counts it. CPU time of the process is what decides (user and system, V8's helper threads included): it is
// what a pool costs, and other work on the machine does not lengthen it. Wall time is kept beside it.

export interface Lap {
  readonly cpuUs: number;
  readonly wallUs: number;
}

export function stopwatch(): () => Lap {
  const cpu = process.cpuUsage();
  const began = performance.now();
  return () => {
    const wallUs = (performance.now() - began) * 1_000;
    const { user, system } = process.cpuUsage(cpu);
    return { cpuUs: user + system, wallUs };
  };
}
