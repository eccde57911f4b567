// How a device stands, in words and in the tone of its mark.
import type { Tile } from '../api/types.ts';
import { moment } from './time.ts';

export type Tone = 'good' | 'busy' | 'bad' | 'plain';

export interface Said {
	tone: Tone;
	words: string;
}

export function deviceState(device: Pick<Tile, 'state' | 'since'>): Said {
	const { state, since } = device;
	switch (state) {
	case 'online':
		return { tone: 'good', words: 'Online' };
	case 'offline':
		return { tone: 'plain', words: since ? `Offline since ${moment(since)}` : 'Offline' };
	case 'waiting':
		return { tone: 'busy', words: 'Waiting to be paired' };
	case 'enrolled':
		return { tone: 'busy', words: 'Paired, not connected yet' };
	case 'configured':
		return { tone: 'plain', words: 'Not heard of yet' };
	}
}
