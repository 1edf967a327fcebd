/** Ends start-up over a wrong configuration: one line per problem on standard error, exit code 1, no stack trace. */
export function stopWithProblems(problems: readonly string[]): never {
  for (const problem of problems) process.stderr.write(`handoff: ${problem}\n`);
  process.exit(1);
}
