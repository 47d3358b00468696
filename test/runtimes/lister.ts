// Stands in for `node:test` where only the names of the tests are wanted: writes them down as they are declared, and runs none.

const around: string[] = [];

export const names: string[] = [];
export const suites: string[] = [];

export function test(name: string): void {
  names.push([...around, name].join(' > '));
}

export function describe(name: string, declare: () => void): void {
  around.push(name);
  suites.push(around.join(' > '));
  declare();
  around.pop();
}

export const it = test;
export default test;
