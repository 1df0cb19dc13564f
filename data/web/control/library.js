// The recordings: list, playback, download, deletion.

import {address, call} from './api.js';

const element = id => document.getElementById(id);
const PAGE = 50;

export function make(name, className = '', text = '') {
  return Object.assign(document.createElement(name), {className, textContent: text});
}

export function duration(seconds) {
  const whole = Math.floor(seconds), two = n => String(n).padStart(2, '0');
  const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return whole < 3600 ? rest : `${Math.floor(whole / 3600)}:${rest}`;
}

export function size(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

export class Library {
  #shown = PAGE;
  #playing = null; // id
  #rest = []; // what follows the part that is played
  #attempt;

  constructor(attempt) {
    const video = element('video');
    this.#attempt = attempt;
    element('close-video').addEventListener('click', () => this.close());
    element('more').addEventListener('click', () => attempt(element('more'), () => {
      this.#shown += PAGE;
      return this.refresh();
    }));
    video.addEventListener('ended', () => this.#rest.shift()?.());
    video.addEventListener('error', () => {
      if (this.#playing)
        element('video-error').textContent = 'This browser cannot play the file. It can be downloaded.';
    });
  }

  async refresh() {
    const recordings = [];
    let total = 1;
    while (recordings.length < Math.min(total, this.#shown)) {
      const page = await call('GET', `api/recordings?limit=${PAGE}&offset=${recordings.length}`);
      if (!page.recordings.length)
        break;
      recordings.push(...page.recordings);
      total = page.total;
    }
    element('library').replaceChildren(...recordings.map(recording => this.#row(recording)));
    element('no-recordings').hidden = recordings.length > 0;
    element('more').hidden = recordings.length >= total;
  }

  /** An event of the server. */
  tell() {
    if (!element('recordings').hidden)
      this.refresh().catch(() => {});
  }

  /** A part, and those that follow it. */
  play(recording, part) {
    const {recording_id: id, mint_id: name, parts} = recording;
    this.#playing = id;
    this.#rest = parts.filter(other => other.part > part).slice(0, 1).map(next => () => this.play(recording, next.part));
    element('playing').hidden = false;
    element('playing-name').textContent = name;
    element('video-error').textContent = '';
    this.#subtitle(recording, part);
    element('video').src = file(id, part);
    element('video').play().catch(() => {}); // it tells by its error event, or wants a click
    element('playing').scrollIntoView({block: 'nearest'});
  }

  /** What was said lies beside the first part that a process wrote, in its time, and goes on over those that follow. */
  #subtitle({recording_id: id, parts}, part) {
    const track = element('chat').cloneNode(); // what one has loaded stays with it
    const source = parts.findLast(other => other.subtitles && other.part <= part);
    element('chat').replaceWith(track);
    if (!source) {
      track.removeAttribute('src');
      return;
    }
    const between = parts.filter(other => other.part >= source.part && other.part < part);
    const later = between.reduce((sum, other) => sum + other.duration_seconds, 0);
    track.addEventListener('load', () => {
      for (const cue of track.track.cues) {
        cue.startTime -= later;
        cue.endTime -= later;
      }
    });
    track.src = beside(id, 'chat.vtt', source.part);
    track.track.mode = 'showing';
  }

  close() {
    const video = element('video');
    this.#playing = null;
    this.#rest = [];
    element('playing').hidden = true;
    video.pause();
    video.removeAttribute('src');
    video.load();
  }

  #row(recording) {
    const {recording_id: id, mint_id: name, state, parts, error} = recording;
    const row = make('li', 'card');
    const facts = make('div', 'facts'), buttons = make('div', 'controls');
    const about = [
      new Date(recording.start_time).toLocaleString(), duration(recording.duration_seconds),
      size(recording.file_size_bytes), recording.config.format,
    ];
    row.dataset.id = id;
    facts.append(make('h2', '', name), make('p', 'quiet', about.join(' · ')));
    if (state !== 'completed')
      facts.append(make('p', state === 'recording' ? 'rec' : 'bad', state));
    if (error)
      facts.append(make('p', 'bad', error));
    parts.forEach(part => buttons.append(...this.#partButtons(recording, part, parts.length > 1)));
    if (state !== 'recording')
      buttons.append(this.#button('Delete', name, button => this.#delete(recording, button), 'danger'));
    row.append(thumbnail(id), facts, buttons);
    return row;
  }

  #partButtons(recording, {part, chat, subtitles}, several) {
    const {recording_id: id, mint_id: name} = recording, which = several ? ` part ${part}` : '';
    const buttons = [this.#button(`Play${which}`, name, () => this.play(recording, part)), download(`Download${which}`, file(id, part))];
    if (chat)
      buttons.push(download(`Chat${which}`, beside(id, 'chat.jsonl', part)));
    if (subtitles)
      buttons.push(download(`Subtitles${which}`, beside(id, 'chat.vtt', part)));
    return buttons;
  }

  #button(text, name, action, className = '') {
    const button = make('button', className, text);
    button.type = 'button';
    button.setAttribute('aria-label', `${text}: ${name}`);
    button.addEventListener('click', () => action(button));
    return button;
  }

  #delete({recording_id: id, mint_id: name, start_time: start}, button) {
    const dialog = element('confirm');
    element('question').textContent =
      `Delete the recording of “${name}” of ${new Date(start).toLocaleString()}? It cannot be brought back.`;
    // Not the dialog's close event: one that was left before may still be told of when this is answered.
    dialog.querySelector('form').onsubmit = event => {
      if (event.submitter.value === 'yes')
        this.#attempt(button, async () => {
          if (this.#playing === id)
            this.close();
          await call('DELETE', `api/recordings/${encodeURIComponent(id)}`);
          await this.refresh();
        });
    };
    dialog.showModal();
  }
}

const beside = (id, name, part) => address(`api/recordings/${encodeURIComponent(id)}/${name}`, {part});
const file = (id, part) => beside(id, 'file', part);

function download(text, href) {
  return Object.assign(make('a', 'button', text), {href, download: ''});
}

function thumbnail(id) {
  const picture = make('img');
  picture.alt = '';
  picture.loading = 'lazy';
  picture.src = address(`api/recordings/${encodeURIComponent(id)}/thumbnail.jpg`);
  picture.addEventListener('error', () => picture.classList.add('missing'));
  return picture;
}
