import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of the project, where its commands run. */
export const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** Text of a document, by its path in the project. */
export function document(path: string): string {
  return readFileSync(`${PROJECT}/${path}`, 'utf8');
}

/** The code blocks of one language, in their order. */
export function codeBlocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map((match) => match[1] ?? '');
}
