// `oxbow/testing`: what a test of a pool, or of a driver for one, needs. Hand-listed re-exports, no logic. Loads nothing but Node's
// own modules: PostgreSQL's programs and pg are looked for when a server is asked for, no test runner ever.

export type { Clock, Timer } from '../contracts/clock.ts';
export type { Driver, Fault, OpenAttempt, Session, SessionStatus } from '../contracts/driver.ts';
export {
  type ConformanceCase,
  type ConformanceOptions,
  type ConformancePeers,
  type ConformanceStatements,
  driverConformance,
  type MakeDriver,
} from '../testing/driver-conformance.ts';
export {
  type EmbeddedPostgresOptions,
  embeddedPostgres,
  type PostgresServer,
  type ServerConfig,
} from '../testing/embedded-postgres.ts';
export { type FaultProxy, type FaultProxyOptions, faultProxy } from '../testing/fault-proxy.ts';
export type { ProxiedConnection } from '../testing/fault-proxy-connection.ts';
export type { Ending } from '../testing/fault-proxy-flow.ts';
export type { ConnectionKind } from '../testing/fault-proxy-frames.ts';
export type { Direction, FaultVerbs, OneWay, ProxyEvent } from '../testing/fault-proxy-verbs.ts';
export {
  type Behaviour,
  type Script,
  type ScriptedCall,
  type ScriptedDriver,
  type ScriptedSession,
  scriptedDriver,
  scriptedError,
} from '../testing/scripted-driver.ts';
export { VirtualClock } from '../testing/virtual-clock.ts';
