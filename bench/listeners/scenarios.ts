// What is timed. Types and names only.

export const SCENARIOS = ['uncontended', 'contended', 'query'] as const;

export type Scenario = (typeof SCENARIOS)[number];

export function isScenario(value: unknown): value is Scenario {
  return SCENARIOS.some((one) => one === value);
}
