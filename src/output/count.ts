// Numbers as people read them.

/** `16,522`. */
export function grouped(number: number): string {
  return `${number}`.replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 site`, `2 sites`. */
export function count(number: number, noun: string): string {
  return `${number} ${nounFor(number, noun)}`;
}

/** `1 site`, `20,722 sites`. */
export function countGrouped(number: number, noun: string): string {
  return `${grouped(number)} ${nounFor(number, noun)}`;
}

function nounFor(number: number, noun: string): string {
  return `${noun}${number === 1 ? '' : noun.endsWith('ch') || noun.endsWith('x') ? 'es' : 's'}`;
}
