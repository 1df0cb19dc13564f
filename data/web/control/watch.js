// The view of one room: its picture, its session and its recording, and the list of all sessions.

import {hasWebCodecs} from '../codecs.js';
import {Stage} from '../stage.js';
import {call, socketAddress} from './api.js';
import {duration, make, size} from './library.js';

const element = id => document.getElementById(id);
const FORMS = { // of the list of forms; without ask, the older ones
  jpeg: {path: 'watch', ask: {video: 'jpeg', audio: 'pcm'}},
  encoded: {path: 'watch', ask: {video: 'encoded', audio: 'opus'}},
  'ws/live': {path: 'ws/live'},
  stream: {path: 'stream'},
};
const POLL = 2000; // ms between looks at the figures

export class Watch {
  stage = new Stage();
  #id = ''; // of the room that is watched, or was last
  #sessions = {}; // by id: what the server says of those that run
  #numbers = {}; // by room: the numbers of those
  #played = null; // number of the session that is watched, or was last
  #recordings = {}; // by id: those that run
  #formats = false; // whether the lists of formats are filled
  #listed = ''; // what the list of sessions shows
  #complain;

  constructor(attempt, complain) {
    const button = name => element(name);
    this.#complain = complain;
    element('open').addEventListener('submit', event => {
      event.preventDefault();
      const id = element('room').value.trim();
      if (id)
        attempt(event.submitter, () => this.open(id));
    });
    element('form').addEventListener('change', () => this.stage.player && this.#play());
    button('session').addEventListener('click', () => attempt(button('session'), () => this.#toggleSession()));
    button('record').addEventListener('click', () => attempt(button('record'), () => this.#toggleRecording()));
    this.stage.addEventListener('state', () => this.stage.state === 'ended' && this.stage.player.stop());
    element('form').querySelector('[value=encoded]').disabled = !hasWebCodecs;
    setInterval(() => this.#poll(), POLL);
  }

  /** Once the server answers, and again after it was lost. */
  async begin() {
    await this.refresh();
    if (!this.#formats)
      await this.#loadFormats();
  }

  /** Starts the session of a room where none runs, and shows it. */
  async open(id) {
    this.#id = id;
    element('room').value = element('name').textContent = id;
    this.stage.stop();
    for (const figure of ['viewers', 'dropped', 'lost'])
      element(figure).textContent = '–';
    this.stage.show({state: 'connecting'});
    let started = null;
    try {
      ({session_id: started} = await call('POST', 'api/live-sessions/start', {mint_id: id}));
    } catch (error) {
      if (id === this.#id)
        this.stage.stop();
      throw error;
    }
    if (id === this.#id) { // nobody chose another meanwhile
      this.#played = started;
      this.#play();
    }
    await this.refresh();
  }

  async refresh() {
    const [live, recorded] = await Promise.all([
      call('GET', 'api/live-sessions/active'),
      call('GET', 'api/recording/active'),
    ]);
    this.#sessions = live.sessions;
    this.#numbers = Object.fromEntries(Object.entries(live.active_sessions).map(([room, {id}]) => [room, id]));
    this.#recordings = recorded.recordings;
    this.#show();
    this.#playAgain();
  }

  /** A session that has ended may still be on the list; only another one of the room is shown. */
  #playAgain() {
    const number = this.#numbers[this.#sessions[this.#id]?.room_name] ?? null;
    if (this.stage.state !== 'ended' || number === null || number === this.#played)
      return;
    this.#played = number;
    this.#play();
  }

  /** An event of the server. */
  tell({mint_id: id, state, error}) {
    if (state === 'failed' && id === this.#id)
      this.#complain(new Error(`The session of “${id}” failed: ${error}`));
    this.refresh().catch(() => {}); // whoever listens notices too
  }

  #play() {
    const {path, ask} = FORMS[element('form').value];
    this.stage.play(socketAddress(`api/live-sessions/${path}/${encodeURIComponent(this.#id)}`), ask);
  }

  async #toggleSession() {
    if (!this.#sessions[this.#id])
      return this.open(this.#id);
    delete this.#sessions[this.#id]; // nobody asks for its figures while it stops
    try {
      await call('POST', 'api/live-sessions/stop', {mint_id: this.#id});
    } finally {
      await this.refresh();
    }
  }

  async #toggleRecording() {
    const body = {mint_id: this.#id};
    if (this.#recordings[this.#id])
      await call('POST', 'api/recording/stop', body);
    else
      await call('POST', 'api/recording/start', {
        ...body, output_format: element('format').value || undefined, // the server's own choice
        video_quality: element('quality').value || undefined, audio_quality: element('quality').value || undefined,
      });
    await this.refresh();
  }

  async #loadFormats() {
    const {formats, quality_presets: presets} = await call('GET', 'api/recording/formats');
    const fill = (list, entries, chosen) => list.replaceChildren(...entries.map(([name, {description}]) =>
      Object.assign(make('option', '', name), {value: name, title: description ?? '', selected: name === chosen})));
    fill(element('format'), Object.entries(formats), 'av1');
    fill(element('quality'), Object.entries(presets), 'medium');
    this.#formats = true;
  }

  async #poll() {
    if (document.hidden || (!this.#sessions[this.#id] && !Object.keys(this.#recordings).length))
      return;
    try {
      const recorded = await call('GET', 'api/recording/active');
      this.#recordings = recorded.recordings;
      this.#show();
      if (this.#sessions[this.#id])
        this.#showFigures(await call('GET', `api/live-sessions/${encodeURIComponent(this.#id)}`));
    } catch (error) {
      if (error.status === 404)
        this.refresh().catch(() => {});
    }
  }

  #showFigures({viewers, stats}) {
    element('viewers').textContent = viewers;
    element('dropped').textContent = stats.dropped ?? '–';
    element('lost').textContent = stats.packets_lost ?? '–';
  }

  #show() {
    const ids = Object.keys(this.#sessions).sort();
    const list = JSON.stringify(ids.map(id => [id, this.#state(id), id in this.#recordings, id === this.#id]));
    if (list !== this.#listed) // a new row would not have the focus that the old one has
      element('sessions').replaceChildren(...ids.map(id => this.#sessionRow(id)));
    this.#listed = list;
    element('no-sessions').hidden = ids.length > 0;

    const runs = this.#id in this.#sessions, recording = this.#recordings[this.#id];
    element('session').disabled = !this.#id;
    element('session').textContent = runs ? 'Stop session' : 'Start session';
    element('record').disabled = !this.#id;
    element('record').textContent = recording ? 'Stop recording' : 'Record';
    element('record').setAttribute('aria-pressed', String(Boolean(recording)));
    element('format').disabled = element('quality').disabled = Boolean(recording);
    element('recording').hidden = !recording;
    if (recording) {
      element('recording').textContent = describe(recording);
      element('recording').title = recording.output_path;
    }
  }

  #state(id) {
    return this.#sessions[id].stream_data?.state ?? '';
  }

  #sessionRow(id) {
    const row = make('li'), open = make('button', '', id);
    open.type = 'button';
    if (id === this.#id)
      open.setAttribute('aria-current', 'true');
    open.addEventListener('click', () => this.open(id).catch(this.#complain));
    row.append(open, make('span', 'quiet', this.#state(id)));
    if (id in this.#recordings)
      row.append(make('span', 'rec', 'recording'));
    return row;
  }
}

function describe({output_path: path, duration_seconds: seconds, file_size_mb: megabytes, stats, error}) {
  const name = path.split('/').pop();
  const facts = [duration(seconds), size(megabytes * 1024 * 1024), `${stats.dropped_frames} dropped`, name];
  return error ? `Recording: ${error}` : `Recording: ${facts.join(' · ')}`;
}
