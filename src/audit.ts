import './node-version.ts';
import { runAudit } from './audit/command-line.ts';

process.exitCode = await runAudit(process.argv.slice(2), process.env, {
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`${text}\n`),
});
