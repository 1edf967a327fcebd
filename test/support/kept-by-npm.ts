/**
 * Options that were given to `npm run` and never reached its script, as a `--` was missing: npm leaves them in the environment.
 *
 * @param script the name that the command has in package.json
 * @param options names that the command knows, without dashes
 * @returns a sentence for each
 */
export function keptByNpm(script: string, options: readonly string[], env: NodeJS.ProcessEnv): string[] {
  if (env['npm_lifecycle_event'] !== script) return [];
  return options
    .filter((name) => env[`npm_config_${name.replaceAll('-', '_')}`] !== undefined)
    .map((name) => `--${name} went to npm: put a -- before it, as in npm run ${script} -- --${name}`);
}
