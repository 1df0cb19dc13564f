// Calls of the server: JSON both ways, failures as errors whose message is for a person.

const TOKEN = 'haven-api-token'; // in the tab's own storage

export class Failure extends Error {
  /** status is 0 where no answer came; retryAfter in s, where the server says when it may work again. */
  constructor(message, status, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export const setToken = token => sessionStorage.setItem(TOKEN, token);
const getToken = () => sessionStorage.getItem(TOKEN) ?? '';

/** The address of what a browser fetches itself: it cannot send our header. */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = '';
  if (getToken())
    query = {...query, access_token: getToken()};
  url.search = new URLSearchParams(query);
  return url;
}

export function socketAddress(path) {
  const url = address(path);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

export async function call(method, path, body) {
  const headers = getToken() ? {Authorization: `Bearer ${getToken()}`} : {};
  let answer, content;
  if (body)
    headers['Content-Type'] = 'application/json';
  try {
    answer = await fetch(path, {method, headers, body: body && JSON.stringify(body), cache: 'no-store'});
  } catch {
    throw new Failure('The server cannot be reached.', 0);
  }
  try {
    content = await answer.json();
  } catch {
    throw new Failure(`The server answered ${answer.status}, and nothing that can be read.`, answer.status);
  }
  if (!answer.ok || content.success === false)
    throw new Failure(content.detail ?? content.error ?? `The server answered ${answer.status}.`, answer.status,
      Number(answer.headers.get('Retry-After')));
  return content;
}
