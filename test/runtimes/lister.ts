// Stands in for `node:test` where only the names of the tests are wanted: writes them down as they are declared, and runs none.

const around: string[] = [];

export const names: string[] = [];
export const suites: string[] = [];

function declare(name: string): void {
  names.push([...around, name].join(' > '));
}

export const test = (name: string): void => declare(name);
export const it = (name: string): void => declare(name);
export default declare;

export function describe(name: string, inside: () => void): void {
  around.push(name);
  suites.push(around.join(' > '));
  inside();
  around.pop();
}
