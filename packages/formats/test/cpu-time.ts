/**
 * Microseconds of CPU that a call takes, the least of three. For ratios of a small and a large input: a busy machine slows both,
 * and a square of eight times the input would be 64 times.
 */
export function leastCpuTime(body: () => void): number {
  const times = Array.from({ length: 3 }, () => {
    const start = process.cpuUsage();
    body();
    const { user, system } = process.cpuUsage(start);
    return user + system;
  });
  return Math.min(...times);
}
