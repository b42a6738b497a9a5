// Small formatters shared by the writers. Texts of users go to a terminal only through `visible`.

/** Seconds as Python's `str(timedelta)` writes them: "0:01:05", "1 day, 0:00:00". */
export function duration(seconds: number): string {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.trunc(seconds)) : 0;
  const days = Math.floor(whole / 86_400);
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = `${Math.floor((whole % 86_400) / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
  return days === 0 ? clock : `${days} ${days === 1 ? "day" : "days"}, ${clock}`;
}

/** Four significant digits, without an exponent where it reads well. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e-2 && size < 1e5) return size >= 100 ? value.toFixed(1) : value.toFixed(4);
  return value.toExponential(2);
}

// Controls but line feed and tab, direction marks and halves of surrogate pairs.
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

/** Text that cannot forge a line or steer the terminal: control and direction characters as \uXXXX. */
export function visible(text: string): string {
  return text.replace(unsafe, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** As `visible`, on one line. */
export function oneLine(text: string): string {
  return visible(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}
