// What a text may leave behind in its session. Owns the judgement: whatever is not known to be clean is not.

export const Trace = { none: 0, known: 1, unknown: 2 } as const;
export function traceOf(_text: string): number {
  return Trace.unknown;
}
export function sessionStateIn(
  _text: string,
): ('SET' | 'LISTEN' | 'PREPARE' | 'advisory lock' | 'temporary table' | 'cursor WITH HOLD')[] {
  return [];
}
