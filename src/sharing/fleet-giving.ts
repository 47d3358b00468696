// What the others of a fleet lack, and when this member gives something of its own for it (DESIGN section 4). Owns the memory of what was
// heard; how it is heard, and what is sought for oneself, is fleet-permits'.

import type { Clock, Timer } from '../contracts/clock.ts';
import type { Appeal, Heard } from './fleet-rules.ts';
import { HOLD_MS, isSpare, STARVING_MS } from './patience.ts';

/** What was asked for so long ago has been asked for again, or is wanted no more. */
const APPEAL_LASTS_MS = 1_000;
/** Those who could give the same do not all do so at once: each waits for a part of this, and hears whether another was quicker. */
const GIVING_SPREAD_MS = 20;
/** So much of what was said is remembered; more is not said in the time that a session is likely to have been in a transaction. */
const REMEMBERED = 1_000;

/** A session at rest that might go. */
export interface Candidate {
  /** Somebody here waits for it. */
  readonly needed: boolean;
  readonly heldMs: number;
  readonly idleMs: number;
}

/** How we stand. */
export interface Holding {
  /** Permits that we have and do not give up yet. */
  readonly held: number;
  /** As many as we cannot spare, unless we have more than our share. */
  readonly needs: number;
  /** When the last was had. */
  readonly tookAt: number;
}

interface Asked {
  readonly appeal: Appeal;
  readonly at: number;
  /** How many we give at most: as far as everybody was asked, and we in particular. */
  left: number;
}

export class FleetGiving {
  pressure = 0;
  readonly #clock: Clock;
  readonly #member: number;
  readonly #raised: () => void;
  readonly #known = new Set<string>();
  #asked: Asked | undefined;
  #timer: Timer | undefined;

  /** `raised` is called when `pressure` may have risen. */
  constructor(clock: Clock, member: number, raised: () => void) {
    this.#clock = clock;
    this.#member = member;
    this.#raised = raised;
  }

  /** Whether it is heard for the first time. */
  isNew({ member, seq }: Heard): boolean {
    const name = `${member} ${seq}`;
    if (this.#known.has(name)) return false;
    this.#known.add(name);
    for (const oldest of this.#known) {
      if (this.#known.size <= REMEMBERED) break;
      this.#known.delete(oldest);
    }
    return true;
  }

  /** Another one gave. */
  freed(): void {
    if (this.#asked === undefined) return;
    this.#asked.left -= 1;
    if (this.pressure > 0) this.pressure = Math.max(0, this.#asked.left);
  }

  asks(appeal: Appeal): void {
    const now = this.#clock.now();
    const known = this.#asked;
    const own = this.#of(appeal);
    if (known !== undefined && now - known.at < APPEAL_LASTS_MS && own === undefined && this.#of(known.appeal)) {
      // What we in particular were asked for is not forgotten since others ask somebody else.
      known.left = Math.max(known.left, appeal.want);
      return;
    }
    if (known !== undefined && known.appeal.member === appeal.member && now - known.at < STARVING_MS) return;
    const asked = { appeal, at: now, left: own === undefined ? appeal.want : Math.max(own[1], appeal.want) };
    this.#asked = asked;
    // Who has too many gives at once; who has some to spare looks first whether others were quicker.
    const spread = own === undefined ? GIVING_SPREAD_MS * this.#clock.random() : 0;
    this.#timer?.cancel();
    this.#timer = this.#clock.timer(spread, () => {
      if (this.#asked !== asked) return;
      this.pressure = Math.max(0, asked.left);
      if (this.pressure > 0) this.#raised();
    });
  }

  /** Whether this session goes to the others; it is counted as given then. */
  yields({ needed, heldMs, idleMs }: Candidate, { held, needs, tookAt }: Holding): boolean {
    const asked = this.#asked;
    const now = this.#clock.now();
    if (asked === undefined || now - asked.at > APPEAL_LASTS_MS) {
      this.forget();
      return false;
    }
    const own = this.#of(asked.appeal);
    if (needed) {
      const over = own === undefined ? 0 : held - own[2];
      if (over <= 0) return false;
      // What cannot be divided evenly goes round, but not at every turn; nor does the last one, where there are more members than permits.
      const urgent = over > 1 || (asked.appeal.bare && held > 1);
      if (!urgent && now - tookAt < HOLD_MS) return false;
    } else if (!isSpare(heldMs, idleMs) || held <= Math.min(needs, own?.[2] ?? needs)) return false;
    asked.left -= 1;
    this.pressure = Math.max(0, asked.left);
    return true;
  }

  forget(): void {
    this.#timer?.cancel();
    this.#asked = undefined;
    this.pressure = 0;
  }

  #of(appeal: Appeal): Appeal['gives'][number] | undefined {
    return appeal.gives.find(([member]) => member === this.#member);
  }
}
