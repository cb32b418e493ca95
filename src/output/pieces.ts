// Text in pieces, for what is too long to be held as one string: a piece is written before the next one is made.
import { jsonText } from './text.ts';

/** Characters to collect before a piece is handed on: a write each entry would cost more than the entry. */
const pieceLength = 0x10000;

/** The same text in pieces of a size that is worth a write. */
export function* inPieces(parts: Iterable<string>): Generator<string> {
  let piece = '';
  for (const part of parts) {
    piece += part;
    if (piece.length < pieceLength) continue;
    yield piece;
    piece = '';
  }
  if (piece !== '') yield piece;
}

/** A list of a JSON document whose items are made when they are written. */
export class ListLater {
  readonly items: Iterable<unknown>;

  private constructor(items: Iterable<unknown>) {
    this.items = items;
  }

  /** What `make` makes of each of some things. */
  static of<From>(from: Iterable<From>, make: (one: From) => unknown): ListLater {
    function* each() {
      for (const one of from) yield make(one);
    }
    return new ListLater(each());
  }
}

/** A document as it is printed, in pieces. */
export function* documentText(document: object, indent = 2): Generator<string> {
  yield* inPieces(jsonParts(document, indent));
  yield '\n';
}

/** A document as JSON Lines, in pieces of whole lines: the document with its `lists` empty, then their items a line each. */
export function documentLines(document: object, lists: readonly string[]): Generator<string> {
  return inPieces(linesOf(document, lists));
}

function* linesOf(document: object, lists: readonly string[]): Generator<string> {
  const fields = Object.entries(document);
  yield `${jsonText(Object.fromEntries(fields.map(([name, value]) => [name, lists.includes(name) ? [] : value])))}\n`;
  for (const [name, value] of fields) {
    if (!lists.includes(name)) continue;
    for (const item of value instanceof ListLater ? value.items : value) yield `${jsonText(item)}\n`;
  }
}

/**
 * `jsonText` of a document in parts, in which a `ListLater` stands for an array. Whatever holds one is an object or an
 * array; an item that holds another is made as a whole.
 */
export function* jsonParts(value: unknown, indent: number, depth = 0): Generator<string> {
  const line = (by: number) => (indent === 0 ? '' : `\n${' '.repeat(indent * (depth + by))}`);
  if (value instanceof ListLater) {
    let isFirst = true;
    for (const item of value.items) {
      yield `${isFirst ? '[' : ','}${line(1)}${deeper(jsonText(item, indent), line(1))}`;
      isFirst = false;
    }
    yield isFirst ? '[]' : `${line(0)}]`;
  } else if (!holdsLater(value)) {
    yield deeper(jsonText(value, indent), line(0));
  } else {
    const [opening, closing] = Array.isArray(value) ? '[]' : '{}';
    let between = opening;
    for (const [name, field] of Object.entries(value)) {
      if (field === undefined) continue;
      const head = Array.isArray(value) ? '' : `${jsonText(name)}:${indent === 0 ? '' : ' '}`;
      yield `${between}${line(1)}${head}`;
      yield* jsonParts(field, indent, depth + 1);
      between = ',';
    }
    yield `${line(0)}${closing}`;
  }
}

/** A text of several lines as it stands behind `line`, the end of one and what the next begins with. */
function deeper(text: string, line: string): string {
  return line.length > 1 ? text.replaceAll('\n', line) : text;
}

function holdsLater(value: unknown): value is object {
  if (value instanceof ListLater) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsLater);
}
