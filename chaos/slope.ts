/** A value at a moment, in seconds. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** By how much a value rises a second, by least squares over all samples; 0 of fewer than two moments. */
export function slope(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, one) => sum + of(one), 0) / samples.length;
  const [middle, level] = [mean(({ at }) => at), mean(({ value }) => value)];
  const spread = samples.reduce((sum, { at }) => sum + (at - middle) ** 2, 0);
  const together = samples.reduce((sum, { at, value }) => sum + (at - middle) * (value - level), 0);
  return spread === 0 || samples.length === 0 ? 0 : together / spread;
}
