// Where the demo's text goes. Owns width, colour and the one line that is rewritten on a terminal; piped, that line becomes a
// plain one each second. Knows nothing of what it shows.

import type { WriteStream } from 'node:tty';

const WIDTH = 96;
const PLAIN_EVERY_MS = 1_000;

type Style = 'bold' | 'dim' | 'red' | 'green';
const CODES: Record<Style, string> = { bold: '1', dim: '2', red: '31', green: '32' };

export class Screen {
  readonly #out: WriteStream | NodeJS.WritableStream;
  readonly #terminal: boolean;
  readonly #colour: boolean;
  #status = '';
  #plainAt = -Infinity;

  constructor(out: NodeJS.WriteStream, env: NodeJS.ProcessEnv) {
    this.#out = out;
    this.#terminal = out.isTTY === true && env.TERM !== 'dumb';
    this.#colour = this.#terminal && !env.NO_COLOR;
  }

  paint(style: Style, text: string): string {
    return this.#colour ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;
  }

  /** One line, above the line that is rewritten. */
  line(text = ''): void {
    this.#out.write(`${this.#erase()}${text}\n${this.#terminal ? this.#status : ''}`);
  }

  title(text: string): void {
    this.line();
    this.line(this.paint('bold', text));
    this.line(this.paint('dim', '─'.repeat(Math.min(text.length, WIDTH))));
  }

  /** Text of any length, broken at spaces and indented. */
  text(text: string, indent = 2, style?: Style): void {
    for (const row of wrapped(text, WIDTH - indent)) {
      this.line(' '.repeat(indent) + (style === undefined ? row : this.paint(style, row)));
    }
  }

  /** Rows in columns: numbers to the right, words to the left, the last column as wide as it likes. */
  table(rows: readonly (readonly (string | number)[])[], indent = 4): void {
    const widths: number[] = [];
    for (const row of rows) {
      for (const [n, cell] of row.entries()) widths[n] = Math.max(widths[n] ?? 0, String(cell).length);
    }
    for (const row of rows) {
      const cells = row.map((cell, n) => {
        const width = n === row.length - 1 && typeof cell === 'string' ? 0 : (widths[n] ?? 0);
        return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
      });
      this.line(`${' '.repeat(indent)}${cells.join('  ')}`.slice(0, 100).trimEnd());
    }
  }

  /** What goes on at this moment. */
  status(text: string): void {
    if (this.#terminal) {
      const columns = ('columns' in this.#out && this.#out.columns) || WIDTH;
      const erase = this.#erase();
      this.#status = `  ${text}`.slice(0, Math.min(columns, 100) - 1);
      this.#out.write(erase + this.#status);
      return;
    }
    const now = performance.now();
    if (now - this.#plainAt < PLAIN_EVERY_MS) return;
    this.#plainAt = now;
    this.#out.write(`  ${text}\n`);
  }

  /** The rewritten line goes; nothing of it stays. */
  clearStatus(): void {
    const erase = this.#erase();
    this.#status = '';
    if (erase !== '') this.#out.write(erase);
  }

  #erase(): string {
    return this.#terminal && this.#status !== '' ? '\r\x1b[2K' : '';
  }
}

function wrapped(text: string, width: number): string[] {
  const rows: string[] = [];
  let row = '';
  for (const word of text.split(' ')) {
    if (row !== '' && row.length + 1 + word.length > width) {
      rows.push(row);
      row = word;
    } else {
      row = row === '' ? word : `${row} ${word}`;
    }
  }
  rows.push(row);
  return rows;
}
