// Messages of the server, as bytes: what a scripted server says, and what tests of the codec read. Owns the wire's format in this direction;
// nothing of it comes from the code under test.
// The format: PostgreSQL manual, chapter "Frontend/Backend Protocol", message formats.

export interface Column {
  readonly name: string;
  readonly tableID?: number;
  readonly columnID?: number;
  readonly dataTypeID?: number;
  readonly dataTypeSize?: number;
  readonly dataTypeModifier?: number;
}

export function message(kind: string, ...body: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(5);
  head.write(kind, 'latin1');
  head.writeUInt32BE(4 + body.reduce((sum, { length }) => sum + length, 0), 1);
  return Buffer.concat([head, ...body]);
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

export function cstring(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

export function rowDescription(columns: readonly Column[]): Buffer {
  return message(
    'T',
    int16(columns.length),
    ...columns.flatMap((column) => [
      cstring(column.name),
      int32(column.tableID ?? 0),
      int16(column.columnID ?? 0),
      int32(column.dataTypeID ?? 25),
      int16(column.dataTypeSize ?? -1),
      int32(column.dataTypeModifier ?? -1),
      int16(0),
    ]),
  );
}

export function dataRow(values: readonly (string | null)[]): Buffer {
  const cells = values.flatMap((value) => {
    if (value === null) return [int32(-1)];
    const bytes = Buffer.from(value);
    return [int32(bytes.length), bytes];
  });
  return message('D', int16(values.length), ...cells);
}

export function complete(tag: string): Buffer {
  return message('C', cstring(tag));
}

export function ready(status: 'I' | 'T' | 'E' = 'I'): Buffer {
  return message('Z', Buffer.from(status));
}

function report(kind: string, severity: string, code: string, text: string): Buffer {
  const fields = { S: severity, V: severity, C: code, M: text, R: 'scripted' };
  return message(kind, ...Object.entries(fields).map(([field, value]) => cstring(field + value)), Buffer.alloc(1));
}

export function failure(code: string, text: string, severity = 'ERROR'): Buffer {
  return report('E', severity, code, text);
}

export function notice(text: string): Buffer {
  return report('N', 'NOTICE', '00000', text);
}

export function notification(channel: string, payload: string): Buffer {
  return message('A', int32(4_711), cstring(channel), cstring(payload));
}

export function parameter(name: string, value: string): Buffer {
  return message('S', cstring(name), cstring(value));
}

export const PARSED = message('1');
export const BOUND = message('2');
export const CLOSED = message('3');
