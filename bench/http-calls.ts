import { Pool } from 'undici';
import type { JsonObject } from '../src/domain/json.ts';
import type { BenchBrand } from './brands.ts';
import type { Lab } from './lab.ts';

/** Calls to our server over kept connections, one call at a time on each. */
export interface HttpCalls {
  /** @throws Error for an answer that is no success */
  call(as: BenchBrand, method: 'GET' | 'POST' | 'PATCH', path: string, body?: JsonObject): Promise<JsonObject>;
}

/** @param connections as many calls can be under way */
export function openCalls(lab: Lab, url: string, connections: number): HttpCalls {
  const pool = new Pool(url, { connections, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 });
  lab.onEnd(() => pool.close());
  return {
    call: async (as, method, path, body) => {
      const { statusCode, body: answer } = await pool.request({
        method,
        path,
        headers: { 'x-api-key': as.key, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (statusCode > 299) throw new Error(`${method} ${path}: ${statusCode} ${text.slice(0, 500)}`);
      return JSON.parse(text) as JsonObject;
    },
  };
}
