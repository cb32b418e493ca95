// JSON that people write, before anything walks over it.

/** Deeper than any document of textpoke; whatever is done with a value by recursion stays far from the stack's end. */
const deepest = 64;

/** The value of a JSON text. Throws an Error that says what is wrong, for nesting that is too deep as well. */
export function parseJson(text: string): unknown {
  let depth = 0;
  let isString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (isString) {
      if (c === backslash) i++;
      else if (c === quote) isString = false;
    } else if (c === quote) isString = true;
    else if (c === bracket || c === brace) {
      if (++depth > deepest) throw new Error(`it is nested more than ${deepest} levels deep`);
    } else if (c === bracket + 2 || c === brace + 2) depth--;
  }
  return JSON.parse(text);
}

const quote = 0x22; // "
const backslash = 0x5c;
const bracket = 0x5b; // [; ] is two further
const brace = 0x7b; // {; } likewise
