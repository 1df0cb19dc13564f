// Rooms that are recorded whenever somebody streams in them.

import {call} from './api.js';
import {make} from './library.js';

const element = id => document.getElementById(id);
const path = id => `api/auto-record/${encodeURIComponent(id)}`;

export class AutoRecord {
  #attempt;

  constructor(attempt) {
    this.#attempt = attempt;
    element('auto-add').addEventListener('submit', event => {
      event.preventDefault();
      const room = element('auto-add').elements.room;
      attempt(event.submitter, async () => {
        await call('PUT', path(room.value.trim()), {output_format: element('format').value || undefined});
        room.value = '';
        await this.refresh();
      });
    });
  }

  async refresh() {
    const {rooms} = await call('GET', 'api/auto-record');
    element('auto').replaceChildren(...rooms.map(room => this.#row(room)));
    element('no-auto').hidden = rooms.length > 0;
  }

  /** An event of the server. */
  tell() {
    if (!element('settings').hidden)
      this.refresh().catch(() => {});
  }

  #row({mint_id: id, state, error, output_format: format}) {
    const row = make('li'), remove = make('button', '', 'Remove');
    remove.type = 'button';
    remove.setAttribute('aria-label', `Remove: ${id}`);
    remove.addEventListener('click', () => this.#attempt(remove, async () => {
      await call('DELETE', path(id));
      await this.refresh();
    }));
    row.dataset.id = id;
    row.append(make('span', '', id), make('span', state === 'recording' ? 'rec' : 'quiet', state));
    if (format)
      row.append(make('span', 'quiet', format));
    if (error)
      row.append(make('span', 'bad', error));
    row.append(remove);
    return row;
  }
}
