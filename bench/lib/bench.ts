// What a benchmark is and what it hands back. Types only.

export interface RunOptions {
  /** Fewer rounds: to see that it works, not to quote. */
  readonly quick: boolean;
  /** Everything there is to measure, where the usual run takes a selection; to look at, not for the page. */
  readonly all: boolean;
  /** Tells a human that it is still alive. */
  readonly progress: (text: string) => void;
}

/** Something that must hold; `figure` is what was measured. */
export interface Goal {
  readonly name: string;
  readonly figure: string;
  readonly met: boolean;
}

export interface Report {
  /** Markdown, the conditions left out. */
  readonly body: string;
  readonly goals: readonly Goal[];
  /** Why nothing of this run may be quoted, if so. */
  readonly noise: string | undefined;
  /** The figures behind the tables, for `--json`. */
  readonly data: unknown;
}

export interface Bench {
  readonly name: string;
  /** One sentence: what is measured. */
  readonly claim: string;
  run(options: RunOptions): Promise<Report>;
}
