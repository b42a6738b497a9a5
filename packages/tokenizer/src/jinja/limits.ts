// A chat template is a program from a stranger. It gets a fixed amount of everything.

export const MAX_SOURCE: number = 2 ** 20;
export const MAX_NESTING = 128;
export const MAX_TOKENS = 200_000;
export const MAX_DEPTH = 400;
export const MAX_FUEL = 1_000_000;
export const MAX_RANGE = 100_000;
export const MAX_MILLISECONDS = 1000;
/** Characters of the output and of any text on the way, entries of any list. */
export const MAX_SIZE: number = 4 * 2 ** 20;
/** Text put together in all, counted again in each block it passes through. */
export const MAX_EMITTED: number = 8 * MAX_SIZE;

/** A template that asked for more than it may have. */
export class TemplateLimitError extends Error {}

export const NESTED = "is nested too deep";
export const TOO_LARGE = "makes a text or list that is too large";

/** Counts steps, depth and time of one rendering. */
export class Budget {
  private fuel = MAX_FUEL;
  private depth = 0;
  private emitted = 0;
  private readonly deadline = performance.now() + MAX_MILLISECONDS;

  enter(): void {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new TemplateLimitError(NESTED);
    this.burn(1);
    if (this.fuel % 64 === 0) this.checkTime();
  }

  leave(): void {
    this.depth -= 1;
  }

  burn(steps: number): void {
    this.fuel -= steps;
    if (this.fuel < 0) throw new TemplateLimitError("takes too many steps");
  }

  emit(characters: number): void {
    this.emitted += characters;
    if (this.emitted > MAX_EMITTED) throw new TemplateLimitError(TOO_LARGE);
  }

  checkTime(): void {
    if (performance.now() > this.deadline) throw new TemplateLimitError("takes longer than a second");
  }
}

/** Throws if a text or list of this size would be too large. */
export function checkSize(size: number): void {
  if (!(size <= MAX_SIZE)) throw new TemplateLimitError(TOO_LARGE);
}
