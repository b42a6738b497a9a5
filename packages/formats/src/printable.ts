// Names and texts from files go into messages only through here: no forged log lines, no escape sequences,
// no reversed text.

// Controls, line separators, direction marks and halves of surrogate pairs.
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/gu;

/** Text from a file made safe for one line of a terminal: control and direction characters escaped, cut to `max` characters. */
export function printable(text: string, max = 80): string {
  const cut = text.length > max ? `${text.slice(0, max)}…` : text;
  return cut.replace(unsafe, escape);
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The first `max` names, printable, and how many more there are. */
export function nameList(names: readonly string[], max = 5): string {
  const shown = names.slice(0, max).map((name) => printable(name, 60));
  const more = names.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}
