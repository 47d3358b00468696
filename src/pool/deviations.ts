// stub
export interface Deviation {
  readonly id: string;
}
export const deviations: readonly Deviation[] = [
  'client-class',
  'connect-error',
  'lent-error',
  'sql-error',
  'private-fields',
  'idle-grain',
  'dial-if-needed',
  'min',
].map((id) => ({ id }));
