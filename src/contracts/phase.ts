// The phases of a pool's life, in order. `paused` is a branch of `open`; `closed` is final.

export type Phase = 'created' | 'opening' | 'open' | 'paused' | 'closing' | 'closed';
