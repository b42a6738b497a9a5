// GPT-2's byte alphabet: each byte as one printable character, so that a vocabulary of characters is one of bytes.

const encoder = new TextEncoder();
const characterOf: string[] = [];
const byteOf = new Map<string, number>();

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

for (let byte = 0, next = 0x100; byte < 0x100; byte += 1) {
  const character = String.fromCharCode(isPrintable(byte) ? byte : next++);
  characterOf.push(character);
  byteOf.set(character, byte);
}

/** The bytes of a text, each as its character. ASCII is its own bytes; calling the encoder for a word takes longer than the word. */
export function byteLevelEncode(text: string): string {
  let encoded = "";
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) return encoded + encodeBytes(text.slice(at));
    encoded += characterOf[unit];
  }
  return encoded;
}

function encodeBytes(text: string): string {
  let encoded = "";
  for (const byte of encoder.encode(text)) encoded += characterOf[byte];
  return encoded;
}

/** The bytes a token stands for; a token with other characters (an added one) stands for its own UTF-8. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteOf.get(character);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
