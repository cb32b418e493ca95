// The records of BTF (include/uapi/linux/btf.h): each type has three words, and some kinds have more behind them.

export const kinds = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  forward: 7,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  function: 12,
  prototype: 13,
  variable: 14,
  section: 15,
  float: 16,
  declarationTag: 17,
  typeTag: 18,
  enum64: 19,
} as const;

/** Bytes of `struct btf_type`. */
export const typeSize = 12;

/** Bytes behind a type: fixed ones, and for each of its members. Kinds that are not listed have none. */
export const extraSizes: Readonly<Record<number, { readonly fixed: number; readonly each: number }>> = {
  [kinds.int]: { fixed: 4, each: 0 },
  [kinds.array]: { fixed: 12, each: 0 },
  [kinds.struct]: { fixed: 0, each: 12 },
  [kinds.union]: { fixed: 0, each: 12 },
  [kinds.enum]: { fixed: 0, each: 8 },
  [kinds.prototype]: { fixed: 0, each: 8 },
  [kinds.variable]: { fixed: 4, each: 0 },
  [kinds.section]: { fixed: 0, each: 12 },
  [kinds.declarationTag]: { fixed: 4, each: 0 },
  [kinds.enum64]: { fixed: 0, each: 12 },
};

/** Kinds that say something of another type without a layout of their own. */
export const modifiers: ReadonlySet<number> = new Set([
  kinds.typedef,
  kinds.volatile,
  kinds.const,
  kinds.restrict,
  kinds.typeTag,
]);
