// Asks the API, and says in one sentence what is wrong when it does not answer as it should.

import { queryOf } from "./route.js";
import { visible } from "./format.js";

export class Problem extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status; // of the answer; 0: there was none, or it could not be read
  }
}

export async function get(path, query = {}, signal = undefined) {
  const answer = await ask(path + queryOf(query), signal);
  if (!answer.ok) throw new Problem(answer.status, (await saidBy(answer)) ?? refusal(answer.status));
  try {
    return await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The sidecar's answer could not be read.");
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

/** The sidecar's own sentence on why it refuses. */
async function saidBy(answer) {
  const { detail } = await answer.json().catch(() => ({}));
  return typeof detail === "string" ? `The sidecar says: ${visible(detail)}.` : null;
}

function refusal(status) {
  if (status === 404) return "The sidecar does not know this.";
  if (status >= 500) return `The sidecar answered with an error (${status}).`;
  return `The sidecar refused the question (${status}).`;
}

/** A list as the API answers it; anything else is no answer. */
export async function list(path, query, signal) {
  const page = await get(path, query, signal);
  if (!Array.isArray(page?.items)) throw new Problem(0, "The sidecar's answer could not be read.");
  return page;
}
