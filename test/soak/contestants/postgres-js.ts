// postgres.js: `reserve()` lends, `begin()` is a transaction, `cancel()` aborts. It knows no deadline for a wait or a statement.

import postgres from 'postgres';
import { ABORTED, type Failure } from '../judge.ts';
import {
  type Ability,
  type Borrowed,
  type Contestant,
  codeOf,
  type Limits,
  plainFailure,
  type Row,
  type Run,
  type Statement,
} from './contestant.ts';

interface Where {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly applicationName: string;
}

type Sql = Pick<postgres.Sql, 'unsafe'>;

export class PostgresJs implements Contestant {
  readonly name = 'postgres.js';
  readonly ways: readonly string[] = ['reserve'];
  readonly can: ReadonlySet<Ability> = new Set(['abort a statement']);
  readonly wantsErrors = false;
  readonly #sql: postgres.Sql;

  constructor({ host, port, user, database, applicationName }: Where, limits: Limits) {
    const options = {
      host,
      port,
      user,
      database,
      max: limits.max,
      connect_timeout: limits.connectTimeoutMs / 1_000,
      idle_timeout: limits.idleTimeoutMs / 1_000,
      max_lifetime: limits.maxLifetimeMs / 1_000,
      connection: { application_name: applicationName },
      onnotice: () => {},
    };
    this.#sql = postgres(options);
  }

  async borrow(): Promise<Borrowed> {
    const reserved = await this.#sql.reserve();
    return {
      run: runOn(reserved),
      atRest: undefined,
      release: () => reserved.release(),
      sever: undefined,
    };
  }

  readonly query: Run = (statement) => runOn(this.#sql)(statement);

  async transaction(work: (run: Run) => Promise<void>): Promise<void> {
    await this.#sql.begin((tx) => work(runOn(tx)));
  }

  classify(error: unknown): Failure {
    if (error === ABORTED) return 'aborted';
    if (codeOf(error) === 'CONNECT_TIMEOUT') return 'connect failed';
    return plainFailure(error);
  }

  end(): Promise<unknown> {
    return this.#sql.end({ timeout: 5 });
  }
}

function runOn(sql: Sql): Run {
  return async ({ text, values, signal }: Statement): Promise<readonly Row[]> => {
    const query = sql.unsafe(text, values === undefined ? undefined : [...values]);
    const cancel = (): void => query.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return [...(await query)] as Row[];
    } catch (error) {
      throw signal?.aborted === true && codeOf(error) === '57014' ? ABORTED : error;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  };
}
