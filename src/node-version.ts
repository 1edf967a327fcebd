/*
 * The first import of every entry point: ends it on a Node that is too old, before anything else runs there, fails with a
 * stack, or does nothing without a word.
 */
const LOWEST = [24, 2] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < LOWEST[0] || (major === LOWEST[0] && minor < LOWEST[1])) {
  process.stderr.write(
    `handoff: this is Node ${process.versions.node}, and it needs Node ${LOWEST.join('.')} or newer: run it with "npx node", or with npm run, which both take the project's own\n`,
  );
  process.exit(2);
}
