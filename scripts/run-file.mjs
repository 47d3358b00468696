// Runs one test file, or one command, in a process of its own and counts what happened. Never rejects. Knows no suites.
// A file that crashes, hangs or holds no test has failed.

import { spawn } from 'node:child_process';
import { basename, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** Events that the reporter makes a summary of; the whole run has one of its own. */
const SUMMARY = new Set(['test:diagnostic', 'test:summary', 'test:plan']);

/** @returns {Promise<{passed: number, failed: number, skipped: number, failures: string[], output: string, ms: number}>} */
export async function runFile(file, { boundMs, cwd }) {
  const started = performance.now();
  const name = basename(file);
  const result = { passed: 0, failed: 0, skipped: 0, failures: [], output: '', ms: 0 };
  const fail = (why) => {
    result.failed += 1;
    result.failures.push(`${name}: ${why}`);
  };

  const reports = new PassThrough({ objectMode: true });
  const output = text(reports.compose(new spec()));
  const stop = new AbortController();
  let late = false;
  const bound = setTimeout(() => {
    late = true;
    stop.abort();
  }, boundMs);

  try {
    for await (const event of run({ files: [file], concurrency: 1, signal: stop.signal })) {
      const { type, data } = event;
      if (!(data?.nesting === 0 && SUMMARY.has(type))) reports.write(event);
      if (type !== 'test:pass' && type !== 'test:fail') continue;
      if (data.details?.type === 'suite' && type === 'test:pass') continue;
      // The file itself is reported where it has no test, or where it fails beside its tests.
      const itself = data.nesting === 0 && resolve(cwd, data.name) === file;
      if (late && itself) continue;
      if (data.skip !== undefined || data.todo !== undefined) result.skipped += 1;
      else if (type === 'test:fail') fail(itself ? 'the file itself failed (crash, exit code or import)' : data.name);
      else if (itself) fail('holds no test');
      else result.passed += 1;
    }
  } catch (error) {
    if (!late) fail(`the runner failed: ${error}`);
  }
  clearTimeout(bound);
  if (late) fail(`did not end within ${boundMs / 1000} s and was stopped`);
  reports.end();
  result.output = await output;
  result.ms = Math.round(performance.now() - started);
  return result;
}

/** Runs `node` with these arguments, its output passed on as it comes; one test that passes if it exits with 0. */
export function runStep(argv, { boundMs, cwd }) {
  const started = performance.now();
  const name = basename(argv[0]);
  return new Promise((settle) => {
    const child = spawn(process.execPath, argv, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
    const bound = setTimeout(() => child.kill('SIGKILL'), boundMs);
    const end = (why) => {
      clearTimeout(bound);
      settle({
        passed: why === undefined ? 1 : 0,
        failed: why === undefined ? 0 : 1,
        skipped: 0,
        failures: why === undefined ? [] : [`${name}: ${why}`],
        output: '',
        ms: Math.round(performance.now() - started),
      });
    };
    child.on('error', (error) => end(String(error)));
    child.on('exit', (code, signal) => {
      if (code === 0) end(undefined);
      else end(signal === null ? `exit code ${code}` : `stopped by ${signal} (bound: ${boundMs / 1000} s)`);
    });
  });
}
