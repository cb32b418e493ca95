// Numbers as people read them.

/** `1 site`, `2 sites`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : noun.endsWith('ch') || noun.endsWith('x') ? 'es' : 's'}`;
}
