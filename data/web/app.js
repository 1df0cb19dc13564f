// The page of havenwssink: one stream, played as soon as its server answers.

import {Stage} from './stage.js';

const RETRY = 2000; // ms

/** The page's own query goes along: access_token. */
async function findStream() {
  const answer = await fetch('stream.json', {cache: 'no-store'});
  if (!answer.ok)
    throw new Error(`the server answered ${answer.status}`);
  const stream = await answer.json();
  const url = new URL(stream.watch + location.search, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return {name: stream.name, url, ask: stream.ask};
}

async function findStreamUntilThere() {
  for (;;) {
    try {
      return await findStream();
    } catch (error) {
      stage.show({state: 'lost', reason: error.message});
      await new Promise(resolve => setTimeout(resolve, RETRY));
    }
  }
}

/** As what comes: it may come in another form than it did. */
async function play() {
  const {name, url, ask} = await findStreamUntilThere();
  document.getElementById('name').textContent = document.title = name;
  stage.play(url, ask);
}

const stage = window.haven = new Stage(); // for a look from the console
stage.addEventListener('state', () => stage.state === 'refused' && setTimeout(play, RETRY));
await play();
