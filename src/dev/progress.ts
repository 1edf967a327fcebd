/** Prints one line as it happens, with the seconds since the start. */
export type Progress = (line: string) => void;

/** Progress on standard output, counted from now. */
export function startProgress(): Progress {
  const begun = performance.now();
  return (line) => {
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    console.log(`${seconds.padStart(6)} s  ${line}`);
  };
}
