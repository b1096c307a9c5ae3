// Asks the API, and says in one sentence what is wrong with its answer.

import { queryOf } from "./route.js";
import { visible } from "./format.js";

export class Problem extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status; // of the answer; 0: there was none, or it could not be read
  }
}

export const misread = () => new Problem(0, "The sidecar's answer could not be understood.");

export async function get(path, query = {}, signal = undefined) {
  const answer = await ask(path + queryOf(query), signal);
  if (!answer.ok) throw new Problem(answer.status, await refusal(answer));
  try {
    return await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw misread();
  }
}

async function ask(address, signal) {
  const patience = AbortSignal.timeout(15000);
  try {
    return await fetch(address, { signal: signal ? AbortSignal.any([signal, patience]) : patience });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The sidecar does not answer.");
  }
}

async function refusal(answer) {
  const { detail } = await answer.json().catch(() => ({}));
  if (typeof detail === "string") return `The sidecar says: ${visible(detail)}.`;
  return `The sidecar ${answer.status < 500 ? "refused the question" : "answered with an error"} (${answer.status}).`;
}

export async function list(path, query, signal) {
  const page = await get(path, query, signal);
  if (!Array.isArray(page?.items)) throw misread();
  return page;
}
