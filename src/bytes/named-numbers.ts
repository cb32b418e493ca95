// Numbers that must not be mixed up, as types alone: nothing of them is left at run time. One kind cannot be given
// where another is wanted; a plain number, such as the result of an addition, becomes whatever it is given to.
declare const kindOf: unique symbol;

type Named<Kind extends string> = number & { readonly [kindOf]?: Kind };

/** Virtual address of a byte; of an instruction its first one, whatever its state is (no Thumb bit). */
export type Address = Named<'address' | 'entry address'>;

/** What a function pointer holds and a branch leads to: bit 0 says Thumb on 32-bit ARM (AAPCS32, "Interworking"). */
export type CodePointer = Named<'code pointer'>;

/** Virtual address of a table's entry, which is an address as well; not every address is one. */
export type EntryAddress = Named<'entry address'>;

/** Index into the section header table; negative ones stand for SHN_ABS and SHN_COMMON (elf/symbols.ts). */
export type SectionNumber = Named<'section number'>;

/** Index into a symbol table. */
export type SymbolNumber = Named<'symbol number'>;
