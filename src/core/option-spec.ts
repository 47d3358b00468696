// What can be said about an option as data: its kind, its defaults, its other names. Types only; the options themselves are in the table.

/** `oxbow`: our own defaults. `pg`: those of a drop-in for pg's pool. */
export type Personality = 'oxbow' | 'pg';

/** Another name for an option, as pg's pool has it. */
export interface Alias {
  readonly name: string;
  /** Milliseconds in one unit of it. */
  readonly unit: 1 | 1000;
  /** 0 and null mean what `false` means by the option's own name. */
  readonly zeroIsOff: boolean;
  /** The client gets it too, under this name. */
  readonly forClient: boolean;
}

export interface Common {
  /** `undefined`: nothing, or found when the pool is made. */
  readonly default: Readonly<Record<Personality, unknown>>;
  readonly aliases: readonly Alias[];
  /** Who acts on it. */
  readonly owner: 'engine' | 'client';
  readonly doc: string;
  /** How likely a reader needs it. */
  readonly tier: 'essential' | 'common' | 'rare';
}

/** `ms` is a time, `count` a number of things. Finite values are integers from `min` to `max`. */
export interface NumberSpec extends Common {
  readonly kind: 'ms' | 'count';
  readonly min: number;
  readonly max: number;
  /** Whether `Infinity` is legal, and with it `false`. */
  readonly infinite: boolean;
  /** What these two then mean, in words; undefined where they are not legal. */
  readonly offAs: string | undefined;
}

export interface TextSpec extends Common {
  readonly kind: 'text';
  /** Lengths. */
  readonly min: number;
  readonly max: number;
}

export interface FlagSpec extends Common {
  readonly kind: 'flag';
}

/** One of `words`, or a function. */
export interface ChoiceSpec extends Common {
  readonly kind: 'choice';
  readonly words: readonly string[];
}

/** True, false, or one of `words`. */
export interface SwitchSpec extends Common {
  readonly kind: 'switch';
  readonly words: readonly string[];
}

/** One of `words`, or false where `orFalse`. */
export interface WordSpec extends Common {
  readonly kind: 'word';
  readonly words: readonly string[];
  readonly orFalse?: boolean;
}

/** An object whose keys are the user's; the part that knows them looks at it more closely. */
export interface RecordSpec extends Common {
  readonly kind: 'record';
  readonly example: string;
}

export interface FunctionSpec extends Common {
  readonly kind: 'function';
}

/** An object with these methods. */
export interface PortSpec extends Common {
  readonly kind: 'port';
  readonly methods: readonly string[];
}

export type OptionSpec =
  | NumberSpec
  | TextSpec
  | FlagSpec
  | ChoiceSpec
  | SwitchSpec
  | WordSpec
  | RecordSpec
  | FunctionSpec
  | PortSpec;
