// Hugging Face's `tokenizers` matches patterns with Oniguruma's Unicode 16 tables. A newer JavaScript engine knows more
// letters and would split elsewhere, so patterns see a shadow of the text in which younger characters are private-use
// ones (of no class a pattern asks for). The shadow is as long as the text: positions stay valid.

/** Code points that Unicode 17 added to Unicode 16, as `first-last` in hexadecimal. */
const YOUNGER_THAN_16 =
  "88f c5c cdc 1acf-1add 1ae0-1aeb 20c1 2b96 a7ce-a7cf a7d2 a7d4 a7f1 fbc3-fbd2 fd90-fd91 fdc8-fdce 10940-10959 " +
  "10ec5-10ec7 10ed0-10ed8 10efa-10efb 11b60-11b67 11db0-11ddb 11de0-11de9 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 " +
  "187f8-187ff 18d09-18d1e 18d80-18df2 1ccfa-1ccfc 1ceba-1ced0 1cee0-1cef0 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff " +
  "1f6d8 1f777-1f77a 1f8d0-1f8d8 1fa54-1fa57 1fa8a 1fa8e 1fac8 1facd 1faea 1faef 1fbfa 2b73a-2b73f 2cea2-2cead " +
  "323b0-33479";

const escapeCodePoint = (hex: string): string => `\\u{${hex}}`;
const younger = new RegExp(
  `[${YOUNGER_THAN_16.split(" ")
    .map((range) => range.split("-").map(escapeCodePoint).join("-"))
    .join("")}]`,
  "gu",
);

const PRIVATE_BMP = "\uE000";
const PRIVATE_ASTRAL = "\u{F0000}";

/** The text as Unicode 16 sees it: same length, younger characters replaced by private-use ones. */
export function unicode16Shadow(text: string): string {
  return text.replace(younger, (character) => (character.length === 1 ? PRIVATE_BMP : PRIVATE_ASTRAL));
}

/** Rust's `char::is_numeric` (Unicode 17), also on engines whose tables are older. */
export const NUMERIC_CLASS = "[\\p{N}\\u{11de0}-\\u{11de9}\\u{16ff4}-\\u{16ff6}]";

/** Replaces lone surrogates by U+FFFD: they have no UTF-8 form. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\uFFFD");
}
