import type { JsonObject } from '../domain/json.ts';

/** An answer that is not a success: what the API said of it. */
export class ApiRefused extends Error {
  override readonly name = 'ApiRefused';
  readonly status: number;
  readonly body: JsonObject;

  constructor(method: string, path: string, status: number, body: JsonObject) {
    super(`${method} ${path} answered ${status}: ${JSON.stringify(body)}`);
    this.status = status;
    this.body = body;
  }
}

/** Calls our HTTP API as one application does: with its key and JSON. */
export type Api = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: JsonObject) => Promise<JsonObject>;

/**
 * @param apiUrl e.g. http://127.0.0.1:8080
 * @throws {ApiRefused} from each call that is not answered with 2xx
 */
export function apiOf(apiUrl: string, apiKey: string): Api {
  return async (method, path, body) => {
    const response = await fetch(new URL(path, apiUrl), {
      method,
      headers: { 'x-api-key': apiKey, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = (text === '' ? {} : JSON.parse(text)) as JsonObject;
    if (!response.ok) throw new ApiRefused(method, path, response.status, answer);
    return answer;
  };
}
