// Where Python's strings and the library's JavaScript ones differ.

const SPACES: ReadonlySet<string> = new Set(
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
);

/** `str.strip`, `lstrip` and `rstrip`: white space as Python sees it, or the given characters. */
export function pythonStrip(text: string, method: "strip" | "lstrip" | "rstrip", characters?: string): string {
  const cut = characters === undefined ? SPACES : new Set(characters);
  let start = 0;
  let end = text.length;
  if (method !== "rstrip") while (start < end && cut.has(text.charAt(start))) start += 1;
  if (method !== "lstrip") while (end > start && cut.has(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** `len(text)`: code points. */
export function pythonLength(text: string): number {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}
